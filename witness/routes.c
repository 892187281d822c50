#include "witness/routes.h"

#include <stdio.h>

#include "lib/sys/clock.h"
#include "witness/limits.h"
#include "witness/notes.h"

static const struct http_header text_headers[] = { { "Content-Type", "text/plain; charset=utf-8" }, { NULL, NULL } };
static const struct http_header note_headers[] = { { "Content-Type", "text/plain; charset=utf-8" },
                                                   { "Cache-Control", "no-cache" },
                                                   { NULL, NULL } };
static const struct http_header metrics_headers[] = { { "Content-Type", "text/plain; version=0.0.4; charset=utf-8" },
                                                      { NULL, NULL } };

static void get_healthz(struct witness *witness, struct http_request *request)
{
    if (committer_works(witness->committer))
        http_reply(request, 200, text_headers, span_str("ok\n"));
    else
        http_reply_problem(request, 503, 0, "the signer failed: nothing is cosigned until a restart");
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
    const struct http_header headers[] = { { "Allow", post ? "POST" : "GET, HEAD" },
                                           { "Content-Type", "text/plain; charset=utf-8" },
                                           { NULL, NULL } };
    http_reply(request, 405, headers, span_str(post ? "only POST\n" : "only GET and HEAD\n"));
    return false;
}

/* Who asks: a reverse proxy on this machine says for whom, in the last element of X-Forwarded-For, which is its own. */
static void client_address(const struct http_request *request, char out[64])
{
    const char *forwarded = http_request_header(request, "X-Forwarded-For");
    snprintf(out, 64, "%s", http_remote(request));
    if (forwarded == NULL || !address_is_loopback(out))
        return;
    const char *comma = strrchr(forwarded, ','), *last = comma != NULL ? comma + 1 : forwarded;
    snprintf(out, 64, "%s", last + strspn(last, " \t"));
    out[strcspn(out, " \t")] = '\0';
}

/* Has the address not asked for too much? Otherwise answers 429. */
static bool address_fits(struct witness *witness, struct http_request *request, double cost)
{
    char address[64];
    client_address(request, address);
    if (address_is_loopback(address) || addresses_take(witness->addresses, address, cost, clock_monotonic_ms()))
        return true;
    atomic_fetch_add(&witness->address_limited, 1);
    http_reply_problem(request, 429, 1, "this address has asked for as much as it may");
    return false;
}

void routes_handle(void *ctx, struct http_request *request)
{
    struct witness *witness = ctx;
    struct span path = http_path(request), hex = path;
    if (!address_fits(witness, request, span_is(path, "/metrics") ? PAGE_COST : 1))
        return;
    if (span_is(path, "/add-checkpoint")) {
        if (method_is(request, true))
            add_checkpoint(witness, request);
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
