/* The table of routes, and the one that writes. */
#include "log/routes.h"

#include <stdlib.h>

#include "log/limits.h"

/* Parses and verifies here, in the server's thread; the answer comes from the pipeline. */
static void route_attestations(struct routes *routes, struct http_request *request, struct span rest)
{
    struct pipeline *pipeline = routes->pipeline;
    struct submission *submission;
    struct why why;
    unsigned status;
    (void)rest;
    if (!pipeline_takes(pipeline, &why)) {
        http_reply_problem(request, 503, RETRY_AFTER_S, "%s", why.text);
        return;
    }
    pthread_rwlock_rdlock(&routes->builders_lock);
    enum err err = submission_parse(&submission, http_body(request), routes->builders, pipeline->store, &status, &why);
    pthread_rwlock_unlock(&routes->builders_lock);
    if (err != OK) {
        http_reply_problem(request, status, status == 503 ? RETRY_AFTER_S : 0, "%s", why.text);
        return;
    }
    submission->request = request;
    if (!pipeline_submit(pipeline, submission, &why)) {
        http_reply_problem(request, 503, RETRY_AFTER_S, "%s", why.text);
        submission_free(submission);
    }
}

static const struct route {
    const char *prefix;
    bool post;
    void (*answer)(struct routes *routes, struct http_request *request, struct span rest);
} table[] = {
    { "/attestations", true, route_attestations },
    { "/checkpoint", false, route_checkpoint },
    { "/tile/", false, route_tile },
    { "/output/", false, route_output },
    { "/outputs", true, route_outputs },
    { "/derivation/", false, route_derivation },
    { "/builder/", false, route_builder },
    { "/inputs/", false, route_inputs },
    { "/healthz", false, route_health },
    { "/metrics", false, route_metrics },
};

static void wrong_method(struct http_request *request, bool post)
{
    const char *allow = post ? "POST" : "GET, HEAD";
    const struct http_header headers[] = {
        { "Allow", allow },
        { "Content-Type", "application/problem+json" },
        { NULL, NULL },
    };
    struct buf body = BUF_EMPTY;
    buf_fmt(&body,
            "{\"type\":\"about:blank\",\"title\":\"Method Not Allowed\",\"status\":405,"
            "\"detail\":\"this route takes %s\"}\n",
            allow);
    http_reply_take(request, 405, headers, &body);
}

void routes_handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request), method = http_method(request);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct span rest = path;
        if (!span_skip(&rest, table[i].prefix))
            continue;
        if (rest.len > 0 && table[i].prefix[strlen(table[i].prefix) - 1] != '/')
            continue;
        if (table[i].post ? span_is(method, "POST") : span_is(method, "GET") || span_is(method, "HEAD"))
            table[i].answer(ctx, request, rest);
        else
            wrong_method(request, table[i].post);
        return;
    }
    http_reply_problem(request, 404, 0, "this log has no such route");
}

void routes_use_builders(struct routes *routes, struct builders *builders)
{
    pthread_rwlock_wrlock(&routes->builders_lock);
    struct builders *before = routes->builders;
    routes->builders = builders;
    pthread_rwlock_unlock(&routes->builders_lock);
    if (before != NULL)
        builders_free(before);
    free(before);
}
