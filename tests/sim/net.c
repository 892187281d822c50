/* The network: it delays, loses, repeats and overtakes. A request is a fiber of the server's process. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/chaos.h"
#include "tests/sim/net.h"

void *net_need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static void travel(void)
{
    uint64_t us = 20 + sim_below(sim_faults.delay_us);
    if (sim_chance(sim_faults.slow))
        us += sim_below(20 * 1000000);
    sim_sleep_us(us);
}

static struct http_request *arrive(const struct exchange *exchange)
{
    struct http_request *request = net_need(calloc(1, sizeof *request));
    struct span path = span_buf(&exchange->path);
    ptrdiff_t at = span_find(path, '?');
    *request = (struct http_request){ .machine = exchange->to, .life = exchange->to->life, .method = exchange->method };
    buf_span(&request->path, at < 0 ? path : span_cut(path, 0, (size_t)at));
    if (at >= 0)
        buf_span(&request->query, span_cut(path, (size_t)at + 1, path.len - (size_t)at - 1));
    buf_span(&request->body, span_buf(&exchange->body));
    return request;
}

static void *handle(void *arg)
{
    struct http_request *request = arg;
    struct machine *machine = request->machine;
    if (machine->handle == NULL)
        request->dropped = true; /* the server stopped in the meantime */
    else
        machine->handle(machine->handle_ctx, request);
    return NULL;
}

/* The server's end of an exchange: false where its process died before it answered. */
static bool serve(struct exchange *exchange, bool lone)
{
    struct machine *machine = exchange->to;
    if (machine->liar) {
        if (!lone)
            chaos_lie(machine, span_buf(&exchange->path), span_buf(&exchange->body), &exchange->reply);
        return true;
    }
    if (machine->handle == NULL)
        return false;
    struct http_request *request = arrive(exchange);
    history_asked(machine, span_buf(&request->path), span_buf(&request->body));
    machine->answering++;
    sim_spawn(machine, handle, request);
    while (!request->answered && !request->dropped && machine->life == request->life)
        sim_wait(request, sim_now_us() + 100000);
    if (request->dropped && machine->life == request->life)
        machine->answering--;
    if (machine->life != request->life || !request->answered)
        return false;
    exchange->reply.status = request->status;
    exchange->reply.retry_after_s = request->retry_after_s;
    buf_clear(&exchange->reply.body);
    buf_span(&exchange->reply.body, span_buf(&request->reply));
    return true;
}

static void *serve_again(void *arg)
{
    travel();
    serve(arg, true);
    return NULL;
}

static void *carry(void *arg)
{
    struct exchange *exchange = arg;
    travel();
    if (sim_chance(sim_faults.lost))
        return NULL;
    if (sim_chance(sim_faults.repeated)) {
        struct exchange *twin = net_need(calloc(1, sizeof *twin));
        *twin = (struct exchange){ .to = exchange->to, .method = exchange->method };
        buf_span(&twin->path, span_buf(&exchange->path));
        buf_span(&twin->body, span_buf(&exchange->body));
        sim_spawn(NULL, serve_again, twin);
    }
    if (sim_chance(sim_faults.refused) || !serve(exchange, false))
        exchange->reply.status = 0;
    travel();
    if (sim_chance(sim_faults.lost_reply))
        return NULL;
    exchange->done = true;
    sim_wake(exchange->wakes == NULL ? exchange : exchange->wakes, true);
    return NULL;
}

struct exchange *net_begin(const char *url, const char *method, const struct span *body, void *wakes)
{
    struct exchange *exchange = net_need(calloc(1, sizeof *exchange));
    const char *host = url + strlen("http://"), *path = strchr(host, '/');
    size_t host_len = strcspn(host, ":/");
    *exchange = (struct exchange){ .to = machine_named(host, host_len), .method = method, .wakes = wakes };
    buf_str(&exchange->path, path == NULL ? "/" : path);
    if (body != NULL)
        buf_span(&exchange->body, *body);
    if (exchange->to == NULL)
        sim_fail("no machine at %s", url);
    sim_spawn(NULL, carry, exchange);
    return exchange;
}

void net_call(const char *machine, const char *path, const struct span *post, uint64_t timeout_us, struct sim_reply *out)
{
    char url[512];
    snprintf(url, sizeof url, "http://%s%s", machine, path);
    struct exchange *exchange = net_begin(url, post == NULL ? "GET" : "POST", post, NULL);
    uint64_t until_us = sim_now_us() + timeout_us;
    while (!exchange->done && sim_now_us() < until_us)
        sim_wait(exchange, until_us);
    out->status = exchange->done ? exchange->reply.status : 0;
    out->retry_after_s = exchange->reply.retry_after_s;
    buf_clear(&out->body);
    if (out->status != 0)
        buf_span(&out->body, span_buf(&exchange->reply.body));
}

void net_forget(struct machine *machine)
{
    machine->handle = NULL;
    machine->answering = 0;
}
