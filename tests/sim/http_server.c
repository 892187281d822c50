/* lib/sys/http_server.h without sockets. */
#include "lib/sys/http_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/net.h"

struct http_server {
    struct machine *machine;
};

struct http_shared {
    unsigned users, status;
    struct buf body;
};

enum err http_server_start(struct http_server **out, const struct http_server_config *config, struct why *why)
{
    (void)why;
    struct http_server *server = net_need(calloc(1, sizeof *server));
    server->machine = sim_machine();
    server->machine->handle_ctx = config->ctx;
    server->machine->handle = config->handle;
    *out = server;
    return OK;
}

int http_server_socket(const struct http_server *server)
{
    (void)server;
    return -1;
}

unsigned http_server_port(const struct http_server *server)
{
    (void)server;
    return 1;
}

const char *http_server_address(const struct http_server *server)
{
    (void)server;
    return "127.0.0.1:1";
}

void http_server_stop(struct http_server *server, unsigned grace_ms)
{
    uint64_t until_us = sim_now_us() + (uint64_t)grace_ms * 1000;
    server->machine->handle = NULL;
    while (server->machine->answering > 0 && sim_now_us() < until_us)
        sim_sleep_us(10000);
    free(server);
}

void http_server_counts(struct http_server *server, struct http_server_counts *out)
{
    (void)server;
    *out = (struct http_server_counts){ 0 };
}

struct span http_method(const struct http_request *request)
{
    return span_str(request->method);
}

struct span http_path(const struct http_request *request)
{
    return span_buf(&request->path);
}

struct span http_body(const struct http_request *request)
{
    return span_buf(&request->body);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    (void)request;
    (void)name;
    return NULL;
}

const char *http_query(const struct http_request *request, const char *name)
{
    (void)request;
    (void)name;
    return NULL; /* no route that is asked here has arguments */
}

const char *http_remote(const struct http_request *request)
{
    (void)request;
    return "127.0.0.1";
}

uint64_t http_party(const struct http_request *request, const char *proxy)
{
    (void)request;
    (void)proxy;
    return 1;
}

/* What a server has answered is out, whether or not it arrives. */
static void answer(struct http_request *request, unsigned status, const struct http_header *headers, struct span body)
{
    if (request->answered)
        sim_fail("%s answers a request twice", request->machine->name);
    for (; headers != NULL && headers->name != NULL; headers++)
        if (strcmp(headers->name, "Retry-After") == 0)
            span_decimal(span_str(headers->value), UINT32_MAX, &request->retry_after_s);
    request->status = status;
    buf_span(&request->reply, body);
    request->answered = true;
    request->machine->answering -= request->machine->answering > 0;
    history_answered(request->machine, span_buf(&request->path), span_buf(&request->body), status, body);
    sim_wake(request, true);
    sim_yield();
}

void http_reply(struct http_request *request, unsigned status, const struct http_header *headers, struct span body)
{
    answer(request, status, headers, body);
}

void http_reply_take(struct http_request *request, unsigned status, const struct http_header *headers, struct buf *body)
{
    answer(request, status, headers, span_buf(body));
    buf_free(body);
}

void http_reply_problem(struct http_request *request, unsigned status, unsigned retry_after_s, const char *fmt, ...)
{
    struct buf text = BUF_EMPTY;
    char detail[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    buf_str(&text, detail);
    request->retry_after_s = retry_after_s;
    answer(request, status, NULL, span_buf(&text));
    buf_free(&text);
}

struct http_shared *http_shared_new(unsigned status, const struct http_header *headers, struct buf *body)
{
    (void)headers;
    struct http_shared *shared = net_need(calloc(1, sizeof *shared));
    *shared = (struct http_shared){ 1, status, *body };
    *body = BUF_EMPTY;
    return shared;
}

struct http_shared *http_shared_keep(struct http_shared *shared)
{
    shared->users++;
    return shared;
}

void http_shared_release(struct http_shared *shared)
{
    if (shared == NULL || --shared->users > 0)
        return;
    buf_free(&shared->body);
    free(shared);
}

void http_reply_method(struct http_request *request, const char *allow)
{
    http_reply_problem(request, 405, 0, "this path takes %s", allow);
}

void http_reply_shared(struct http_request *request, struct http_shared *shared)
{
    answer(request, shared->status, NULL, span_buf(&shared->body));
}

void http_reply_stream(struct http_request *request, unsigned status, const struct http_header *headers, uint64_t length,
                       const struct http_source *source)
{
    (void)status;
    (void)headers;
    (void)length;
    (void)source;
    sim_fail("%s streams", request->machine->name);
}
