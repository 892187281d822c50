#include "lib/sys/http_client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"

struct slot {
    CURL *easy;
    bool busy;
    char *url;
    struct buf body; /* borrowed by curl while busy */
    struct curl_slist *headers;
    struct http_response response;
    struct http_gather gather;
};

struct http_posts {
    CURLM *multi;
    size_t n;
    struct slot slots[];
};

enum err http_posts_new(struct http_posts **out, size_t slots, struct why *why)
{
    struct http_posts *posts = calloc(1, sizeof *posts + slots * sizeof posts->slots[0]);
    if (posts == NULL)
        return fail(why, ERR_ENV, "out of memory");
    posts->n = slots;
    posts->multi = curl_multi_init();
    bool made = posts->multi != NULL && curl_multi_setopt(posts->multi, CURLMOPT_MAXCONNECTS, (long)(2 * slots + 1)) == CURLM_OK;
    for (size_t i = 0; made && i < slots; i++)
        made = (posts->slots[i].easy = curl_easy_init()) != NULL;
    if (!made) {
        http_posts_free(posts);
        return fail(why, ERR_ENV, "out of memory");
    }
    *out = posts;
    return OK;
}

/* The slot no longer belongs to the multi handle; its response stays. */
static void slot_idle(struct http_posts *posts, struct slot *slot)
{
    if (slot->busy)
        curl_multi_remove_handle(posts->multi, slot->easy);
    slot->busy = false;
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
}

void http_posts_free(struct http_posts *posts)
{
    if (posts == NULL)
        return;
    for (size_t i = 0; i < posts->n; i++) {
        struct slot *slot = &posts->slots[i];
        if (slot->easy != NULL) {
            slot_idle(posts, slot);
            curl_easy_cleanup(slot->easy);
        }
        free(slot->url);
        buf_free(&slot->body);
        http_response_free(&slot->response);
    }
    curl_multi_cleanup(posts->multi);
    free(posts);
}

bool http_posts_busy(const struct http_posts *posts, size_t slot)
{
    return posts->slots[slot].busy;
}

enum err http_posts_start(struct http_posts *posts, size_t slot_number, const char *url, struct span body, unsigned timeout_ms,
                          size_t bytes_max, struct why *why)
{
    struct slot *slot = &posts->slots[slot_number];
    static const struct http_client_config plain;
    if (slot->busy)
        return fail(why, ERR_USAGE, "slot %zu is busy", slot_number);
    free(slot->url);
    slot->url = span_dup_str(span_str(url));
    buf_clear(&slot->body);
    buf_span(&slot->body, body);
    enum err err = slot->url == NULL ? fail(why, ERR_ENV, "out of memory") : buf_done(&slot->body, why);
    if (err == OK)
        err = http_easy_setup(slot->easy, &plain, url, why);
    if (err == OK)
        err = http_easy_post(slot->easy, "text/plain; charset=utf-8", span_buf(&slot->body), &slot->headers, why);
    if (err == OK) {
        slot->gather = (struct http_gather){ .response = &slot->response, .bytes_max = bytes_max };
        http_easy_gather(slot->easy, &slot->gather);
        curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
        curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
        slot->busy = curl_multi_add_handle(posts->multi, slot->easy) == CURLM_OK;
        if (!slot->busy)
            err = http_url_fail(url, "libcurl does not take the request", why);
    }
    if (err != OK)
        slot_idle(posts, slot);
    return err;
}

/* Hands out what has ended; `done` may start the slot anew. */
static size_t report_ended(struct http_posts *posts,
                           void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                           void *ctx)
{
    size_t ended = 0;
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(posts->multi, &left)) != NULL; ended++) {
        struct slot *slot = NULL;
        struct why why = { "" };
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        enum err err = http_easy_end(slot->easy, code, slot->url, &slot->gather, &why);
        slot_idle(posts, slot);
        done(ctx, (size_t)(slot - posts->slots), err == OK ? &slot->response : NULL, &why);
    }
    return ended;
}

enum err http_posts_wait(struct http_posts *posts, unsigned timeout_ms,
                         void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                         void *ctx, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms(), end_ms = now_ms + timeout_ms;
    for (;;) {
        int running, descriptors = 0;
        CURLMcode code = curl_multi_perform(posts->multi, &running);
        if (code == CURLM_OK && report_ended(posts, done, ctx) > 0)
            return OK;
        uint64_t poll_ms = end_ms > now_ms ? end_ms - now_ms : 0;
        if (code == CURLM_OK && poll_ms == 0)
            return OK;
        if (code == CURLM_OK)
            code = curl_multi_poll(posts->multi, NULL, 0, (int)poll_ms, &descriptors);
        if (code != CURLM_OK)
            return fail(why, ERR_ENV, "libcurl: %s", curl_multi_strerror(code));
        now_ms = clock_monotonic_ms();
        /* Without a descriptor it was the time, one of curl's own timers, or http_posts_wake. */
        if (descriptors == 0)
            end_ms = now_ms;
    }
}

void http_posts_wake(struct http_posts *posts)
{
    curl_multi_wakeup(posts->multi);
}
