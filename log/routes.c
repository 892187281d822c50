/* The table of routes, and the one that writes. */
#include "log/routes.h"

#include "log/limits.h"

/* Parses and verifies; the answer comes from the pipeline. */
static void route_attestations(struct routes *routes, struct http_request *request, struct span rest)
{
    struct pipeline *pipeline = routes->pipeline;
    struct submission *submission = NULL;
    struct why why;
    (void)rest;
    bool takes = pipeline_takes(pipeline, &why);
    if (takes && (submission = admission_read(&routes->admission, request, pipeline->store, &pipeline->counts.read)) == NULL)
        return;
    if (takes && pipeline_submit(pipeline, submission, &why))
        return;
    admission_count(&routes->admission, 503);
    http_reply_problem(request, 503, RETRY_AFTER_S, "%s", why.text);
    submission_free(submission);
}

/* By which thread a route is answered: what waits for nothing by the HTTP thread itself. */
enum route_by { BY_HTTP, BY_VERIFIERS, BY_LOOKUPS };

static const struct route {
    const char *prefix;
    bool post;
    enum route_by by;
    void (*answer)(struct routes *routes, struct http_request *request, struct span rest);
} table[] = {
    { "/attestations", true, BY_VERIFIERS, route_attestations },
    { "/checkpoint", false, BY_HTTP, route_checkpoint },
    { "/tile/", false, BY_HTTP, route_tile },
    { "/output/", false, BY_LOOKUPS, route_output },
    { "/outputs", true, BY_LOOKUPS, route_outputs },
    { "/derivation/", false, BY_LOOKUPS, route_derivation },
    { "/builder/", false, BY_LOOKUPS, route_builder },
    { "/inputs/", false, BY_LOOKUPS, route_inputs },
    { "/healthz", false, BY_HTTP, route_health },
    { "/metrics", false, BY_HTTP, route_metrics },
};

/* False where the queue is full. */
static bool hand_to_verifiers(struct routes *routes, struct http_request *request, const struct job *job)
{
    switch (admission_ask(&routes->admission, request)) {
    case ADMIT_TRUSTED: return workers_take(routes->pipeline->verifiers, job);
    case ADMIT_SUSPECT: return workers_take(routes->admission.suspects, job);
    default: return true;
    }
}

static void hand_out(struct routes *routes, const struct route *route, struct http_request *request, struct span rest)
{
    const struct job job = { .answer = route->answer, .routes = routes, .request = request, .rest = rest };
    bool taken = true;
    if (route->by == BY_HTTP)
        route->answer(routes, request, rest);
    else if (route->by == BY_VERIFIERS)
        taken = hand_to_verifiers(routes, request, &job);
    else
        taken = workers_take(routes->lookups, &job);
    if (!taken)
        http_reply_problem(request, 503, RETRY_AFTER_S, "the log has too much to do at the moment");
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
            hand_out(ctx, &table[i], request, rest);
        else
            http_reply_method(request, table[i].post ? "POST" : "GET, HEAD");
        return;
    }
    http_reply_problem(request, 404, 0, "this log has no such route");
}
