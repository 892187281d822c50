/* lib/sys/http_client.h and http_calls.h without sockets. */
#include "lib/sys/http_calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/net.h"

struct http_client {
    uint64_t timeout_us;
};

enum err http_client_system_start(struct why *why)
{
    (void)why;
    return OK;
}

void http_response_free(struct http_response *response)
{
    buf_free(&response->body);
}

enum err http_client_new(struct http_client **out, const struct http_client_config *config, struct why *why)
{
    (void)why;
    *out = net_need(calloc(1, sizeof **out));
    (*out)->timeout_us = (config->total_timeout_ms == 0 ? 30000 : config->total_timeout_ms) * UINT64_C(1000);
    return OK;
}

void http_client_free(struct http_client *client)
{
    free(client);
}

static enum err take_reply(const struct exchange *exchange, size_t bytes_max, struct http_response *response, struct why *why)
{
    const struct sim_reply *reply = &exchange->reply;
    buf_clear(&response->body);
    if (!exchange->done || reply->status == 0)
        return fail(why, ERR_ENV, "http://%s: %s", exchange->to->name, exchange->done ? "connection refused" : "timed out");
    if (reply->body.len > bytes_max)
        return fail(why, ERR_ENV, "http://%s: more than %zu bytes", exchange->to->name, bytes_max);
    response->status = reply->status;
    response->retry_after_s = reply->retry_after_s;
    snprintf(response->content_type, sizeof response->content_type, "%s", reply->status == 409 ? "text/x.tlog.size" : "text/plain");
    response->location[0] = '\0';
    response->connections = 1;
    buf_span(&response->body, span_buf(&reply->body));
    return OK;
}

static enum err ask(struct http_client *client, const char *url, const char *method, const struct span *body, size_t bytes_max,
                    struct http_response *response, struct why *why)
{
    struct exchange *exchange = net_begin(url, method, body, NULL);
    uint64_t until_us = sim_now_us() + client->timeout_us;
    while (!exchange->done && sim_now_us() < until_us)
        sim_wait(exchange, until_us);
    return take_reply(exchange, bytes_max, response, why);
}

enum err http_get(struct http_client *client, const char *url, const char *const *headers, size_t bytes_max,
                  struct http_response *response, struct why *why)
{
    (void)headers;
    return ask(client, url, "GET", NULL, bytes_max, response, why);
}

enum err http_post(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                   struct http_response *response, struct why *why)
{
    (void)content_type;
    return ask(client, url, "POST", &body, bytes_max, response, why);
}

struct slot {
    struct exchange *exchange; /* NULL: idle */
    uint64_t until_us;
    size_t bytes_max;
    struct http_response response;
};

struct http_calls {
    size_t n;
    bool woken;
    struct slot *slots;
};

enum err http_calls_new(struct http_calls **out, size_t slots, struct why *why)
{
    (void)why;
    *out = net_need(calloc(1, sizeof **out));
    (*out)->n = slots;
    (*out)->slots = net_need(calloc(slots, sizeof *(*out)->slots));
    return OK;
}

void http_calls_free(struct http_calls *calls)
{
    (void)calls; /* exchanges under way still wake it */
}

bool http_calls_busy(const struct http_calls *calls, size_t slot)
{
    return calls->slots[slot].exchange != NULL;
}

static enum err start_call(struct http_calls *calls, size_t slot, const char *url, const struct span *body, unsigned timeout_ms,
                           size_t bytes_max)
{
    calls->slots[slot].exchange = net_begin(url, body == NULL ? "GET" : "POST", body, calls);
    calls->slots[slot].until_us = sim_now_us() + (uint64_t)timeout_ms * 1000;
    calls->slots[slot].bytes_max = bytes_max;
    return OK;
}

enum err http_calls_post(struct http_calls *calls, size_t slot, const char *url, struct span body, unsigned timeout_ms,
                         size_t bytes_max, struct why *why)
{
    (void)why;
    return start_call(calls, slot, url, &body, timeout_ms, bytes_max);
}

enum err http_calls_get(struct http_calls *calls, size_t slot, const char *url, unsigned timeout_ms, size_t bytes_max,
                        struct why *why)
{
    (void)why;
    return start_call(calls, slot, url, NULL, timeout_ms, bytes_max);
}

/* Hands out what has ended or run out of time; *until_us comes down to the next time-out. */
static size_t report_ended(struct http_calls *calls,
                           void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                           void *ctx, uint64_t *until_us)
{
    size_t ended = 0;
    for (size_t i = 0; i < calls->n; i++) {
        struct slot *slot = &calls->slots[i];
        struct exchange *exchange = slot->exchange;
        if (exchange == NULL)
            continue;
        if (!exchange->done && sim_now_us() < slot->until_us) {
            *until_us = slot->until_us < *until_us ? slot->until_us : *until_us;
            continue;
        }
        struct why why = { "" };
        enum err err = take_reply(exchange, slot->bytes_max, &slot->response, &why);
        slot->exchange = NULL;
        done(ctx, i, err == OK ? &slot->response : NULL, &why);
        ended++;
    }
    return ended;
}

enum err http_calls_wait(struct http_calls *calls, unsigned timeout_ms,
                         void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                         void *ctx, struct why *why)
{
    (void)why;
    uint64_t end_us = sim_now_us() + (uint64_t)timeout_ms * 1000;
    for (;;) {
        uint64_t until_us = end_us;
        if (report_ended(calls, done, ctx, &until_us) > 0 || calls->woken || sim_now_us() >= end_us)
            break;
        sim_wait(calls, until_us);
    }
    calls->woken = false;
    return OK;
}

void http_calls_wake(struct http_calls *calls)
{
    calls->woken = true;
    sim_wake(calls, true);
}
