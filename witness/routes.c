#include "witness/routes.h"

#include "lib/sys/address.h"
#include "lib/sys/clock.h"
#include "witness/limits.h"
#include "witness/notes.h"

static const struct http_header text_headers[] = { { "Content-Type", "text/plain; charset=utf-8" }, { NULL, NULL } };
static const struct http_header note_headers[] = { { "Content-Type", "text/plain; charset=utf-8" },
                                                   { "Cache-Control", "no-cache" },
                                                   { NULL, NULL } };
static const struct http_header page_headers[] = {
    { "Content-Type", "text/html; charset=utf-8" },
    { "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'" },
    { "Cache-Control", "no-cache" },
    { NULL, NULL },
};
static const struct http_header metrics_headers[] = { { "Content-Type", "text/plain; version=0.0.4; charset=utf-8" },
                                                      { NULL, NULL } };

static void get_healthz(struct witness *witness, struct http_request *request)
{
    if (committer_works(witness->committer))
        http_reply(request, 200, text_headers, span_str("ok\n"));
    else
        http_reply_problem(request, 503, 0, "the signer failed: nothing is cosigned until a restart");
}

static void get_page(struct witness *witness, struct http_request *request)
{
    struct buf body = BUF_EMPTY;
    page_render(witness, &body);
    http_reply_take(request, 200, page_headers, &body);
}

static void get_metrics(struct witness *witness, struct http_request *request)
{
    struct buf body = BUF_EMPTY;
    metrics_render(witness, &body);
    http_reply_take(request, 200, metrics_headers, &body);
}

/* `hex` is the <origin hash> of the path. */
static void get_checkpoint(struct witness *witness, struct http_request *request, struct span hex)
{
    struct buf note = BUF_EMPTY;
    uint64_t size, time_s;
    pthread_rwlock_rdlock(&witness->logs.lock);
    struct log *log = logs_find_hex(&witness->logs, hex);
    pthread_rwlock_unlock(&witness->logs.lock);
    if (log != NULL)
        notes_copy(&witness->logs, log, &note, &size, &time_s);
    if (note.len > 0) {
        http_reply_take(request, 200, note_headers, &note);
        return;
    }
    buf_free(&note);
    http_reply_problem(request, 404, 0, "no cosigned checkpoint of a log with this origin hash");
}

/* Is the request's method the route's? Otherwise answers 405. */
static bool method_is(struct http_request *request, bool post)
{
    struct span method = http_method(request);
    if (post ? span_is(method, "POST") : span_is(method, "GET") || span_is(method, "HEAD"))
        return true;
    http_reply_method(request, post ? "POST" : "GET, HEAD");
    return false;
}

/* This machine itself: what its reverse proxy does not say for whom it asks. */
static bool is_loopback(uint64_t party)
{
    return party == address_party("::1") || party >> 24 == address_party("127.0.0.0") >> 24;
}

/* Has the address not asked for too much? Otherwise answers 429. */
static bool address_fits(struct witness *witness, struct http_request *request, uint64_t cost)
{
    uint64_t party = http_party(request, witness->proxy), now_us = clock_monotonic_us();
    struct span key = span_of(&party, sizeof party);
    if (witness->addresses == NULL || is_loopback(party))
        return true;
    uint64_t wait_ms = rate_wait_ms(witness->addresses, key, now_us);
    if (wait_ms == 0) {
        rate_take(witness->addresses, key, cost, now_us);
        return true;
    }
    atomic_fetch_add(&witness->address_limited, 1);
    http_reply_problem(request, 429, (unsigned)(wait_ms / 1000 + 1), "this address has asked for as much as it may");
    return false;
}

void routes_handle(void *ctx, struct http_request *request)
{
    struct witness *witness = ctx;
    struct span path = http_path(request), hex = path;
    if (!address_fits(witness, request, span_is(path, "/metrics") || span_is(path, "/") ? PAGE_COST : 1))
        return;
    if (span_is(path, "/add-checkpoint")) {
        if (method_is(request, true))
            add_checkpoint(witness, request);
    } else if (span_is(path, "/")) {
        if (method_is(request, false))
            get_page(witness, request);
    } else if (span_is(path, "/healthz")) {
        if (method_is(request, false))
            get_healthz(witness, request);
    } else if (span_is(path, "/metrics")) {
        if (method_is(request, false))
            get_metrics(witness, request);
    } else if (path.len == 1 + 64 + strlen("/checkpoint") && span_skip(&hex, "/") && span_ends(path, "/checkpoint")) {
        if (method_is(request, false))
            get_checkpoint(witness, request, span_cut(hex, 0, 64));
    } else if (span_is(path, "/sign-subtree")) {
        http_reply_problem(request, 404, 0,
                           "sign-subtree is not offered: an Ed25519 key cannot cosign subtrees (tlog-witness, "
                           "\"sign-subtree\": optional)");
    } else {
        http_reply_problem(request, 404, 0, "there is no such route (tlog-witness, \"HTTP Interface\")");
    }
}
