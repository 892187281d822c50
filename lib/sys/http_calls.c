#include "lib/sys/http_calls.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_client_internal.h"

struct slot {
    CURL *easy;
    bool busy;
    char *url;
    struct buf body; /* borrowed by curl while busy */
    struct curl_slist *headers;
    struct http_response response;
    struct http_gather gather;
};

struct http_calls {
    CURLM *multi;
    size_t n;
    struct slot slots[];
};

enum err http_calls_new(struct http_calls **out, size_t slots, struct why *why)
{
    struct http_calls *calls = calloc(1, sizeof *calls + slots * sizeof calls->slots[0]);
    if (calls == NULL)
        return fail(why, ERR_ENV, "out of memory");
    calls->n = slots;
    calls->multi = curl_multi_init();
    bool made = calls->multi != NULL && curl_multi_setopt(calls->multi, CURLMOPT_MAXCONNECTS, (long)(2 * slots + 1)) == CURLM_OK;
    for (size_t i = 0; made && i < slots; i++)
        made = (calls->slots[i].easy = curl_easy_init()) != NULL;
    if (!made) {
        http_calls_free(calls);
        return fail(why, ERR_ENV, "out of memory");
    }
    *out = calls;
    return OK;
}

/* The slot no longer belongs to the multi handle; its response stays. */
static void slot_idle(struct http_calls *calls, struct slot *slot)
{
    if (slot->busy)
        curl_multi_remove_handle(calls->multi, slot->easy);
    slot->busy = false;
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
}

void http_calls_free(struct http_calls *calls)
{
    if (calls == NULL)
        return;
    for (size_t i = 0; i < calls->n; i++) {
        struct slot *slot = &calls->slots[i];
        if (slot->easy != NULL) {
            slot_idle(calls, slot);
            curl_easy_cleanup(slot->easy);
        }
        free(slot->url);
        buf_free(&slot->body);
        http_response_free(&slot->response);
    }
    curl_multi_cleanup(calls->multi);
    free(calls);
}

bool http_calls_busy(const struct http_calls *calls, size_t slot)
{
    return calls->slots[slot].busy;
}

/* A request in an idle slot; a GET where `body` is NULL. */
static enum err begin(struct http_calls *calls, size_t slot_number, const char *url, const struct span *body, unsigned timeout_ms,
                      size_t bytes_max, struct why *why)
{
    struct slot *slot = &calls->slots[slot_number];
    static const struct http_client_config plain;
    if (slot->busy)
        return fail(why, ERR_USAGE, "slot %zu is busy", slot_number);
    free(slot->url);
    slot->url = span_dup_str(span_str(url));
    buf_clear(&slot->body);
    if (body != NULL)
        buf_span(&slot->body, *body);
    enum err err = slot->url == NULL ? fail(why, ERR_ENV, "out of memory") : buf_done(&slot->body, why);
    if (err == OK)
        err = http_easy_setup(slot->easy, &plain, url, why);
    if (err == OK && body != NULL)
        err = http_easy_post(slot->easy, "text/plain; charset=utf-8", span_buf(&slot->body), &slot->headers, why);
    if (err == OK) {
        slot->gather = (struct http_gather){ .response = &slot->response, .bytes_max = bytes_max };
        http_easy_gather(slot->easy, &slot->gather);
        curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
        curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
        slot->busy = curl_multi_add_handle(calls->multi, slot->easy) == CURLM_OK;
        if (!slot->busy)
            err = http_url_fail(url, "libcurl does not take the request", why);
    }
    if (err != OK)
        slot_idle(calls, slot);
    return err;
}

enum err http_calls_post(struct http_calls *calls, size_t slot, const char *url, struct span body, unsigned timeout_ms,
                         size_t bytes_max, struct why *why)
{
    return begin(calls, slot, url, &body, timeout_ms, bytes_max, why);
}

enum err http_calls_get(struct http_calls *calls, size_t slot, const char *url, unsigned timeout_ms, size_t bytes_max,
                        struct why *why)
{
    return begin(calls, slot, url, NULL, timeout_ms, bytes_max, why);
}

/* Hands out what has ended; `done` may start the slot anew. */
static size_t report_ended(struct http_calls *calls,
                           void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                           void *ctx)
{
    size_t ended = 0;
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(calls->multi, &left)) != NULL; ended++) {
        struct slot *slot = NULL;
        struct why why = { "" };
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        enum err err = http_easy_end(slot->easy, code, slot->url, &slot->gather, &why);
        slot_idle(calls, slot);
        done(ctx, (size_t)(slot - calls->slots), err == OK ? &slot->response : NULL, &why);
    }
    return ended;
}

enum err http_calls_wait(struct http_calls *calls, unsigned timeout_ms,
                         void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                         void *ctx, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms(), end_ms = now_ms + timeout_ms;
    for (;;) {
        int running, descriptors = 0;
        CURLMcode code = curl_multi_perform(calls->multi, &running);
        if (code == CURLM_OK && report_ended(calls, done, ctx) > 0)
            return OK;
        uint64_t poll_ms = end_ms > now_ms ? end_ms - now_ms : 0;
        if (code == CURLM_OK && poll_ms == 0)
            return OK;
        if (code == CURLM_OK)
            code = curl_multi_poll(calls->multi, NULL, 0, (int)poll_ms, &descriptors);
        if (code != CURLM_OK)
            return fail(why, ERR_ENV, "libcurl: %s", curl_multi_strerror(code));
        now_ms = clock_monotonic_ms();
        /* Without a descriptor it was the time, one of curl's own timers, or http_calls_wake. */
        if (descriptors == 0)
            end_ms = now_ms;
    }
}

void http_calls_wake(struct http_calls *calls)
{
    curl_multi_wakeup(calls->multi);
}
