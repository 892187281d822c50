/* The upstream caches' health, and the connections to them. */
#include "client/gate.h"
#include "lib/sys/clock.h"
#include "lib/sys/http_stream.h"
#include "lib/sys/report.h"

bool gate_upstream_up(struct gate *gate, size_t upstream)
{
    struct gate_upstream *at = &gate->upstreams[upstream];
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&gate->lock);
    bool up = at->failures < GATE_FAILURES_MAX || now_ms >= at->down_until_ms;
    if (up && at->failures >= GATE_FAILURES_MAX)
        at->down_until_ms = now_ms + GATE_DOWN_MS; /* the others wait for what this one finds */
    pthread_mutex_unlock(&gate->lock);
    return up;
}

void gate_upstream_answered(struct gate *gate, size_t upstream)
{
    struct gate_upstream *at = &gate->upstreams[upstream];
    pthread_mutex_lock(&gate->lock);
    bool was_down = at->failures >= GATE_FAILURES_MAX;
    at->failures = 0;
    pthread_mutex_unlock(&gate->lock);
    if (was_down)
        report(REPORT_INFO, "upstream-up", "upstream=%s", at->url);
}

void gate_upstream_failed(struct gate *gate, size_t upstream, const struct why *why)
{
    struct gate_upstream *at = &gate->upstreams[upstream];
    pthread_mutex_lock(&gate->lock);
    bool goes_down = ++at->failures == GATE_FAILURES_MAX;
    if (at->failures >= GATE_FAILURES_MAX)
        at->down_until_ms = clock_monotonic_ms() + GATE_DOWN_MS;
    pthread_mutex_unlock(&gate->lock);
    if (goes_down)
        report(REPORT_WARN, "upstream-down", "upstream=%s why=%s", at->url, report_quote(why->text));
}

bool gate_upstream_found(struct gate *gate, size_t upstream)
{
    struct gate_upstream *at = &gate->upstreams[upstream];
    pthread_mutex_lock(&gate->lock);
    bool worth_asking = at->has_proofs || at->missed < GATE_SIDECARS_MISSED || at->found % GATE_SIDECARS_EVERY == 0;
    at->found++;
    pthread_mutex_unlock(&gate->lock);
    return worth_asking;
}

void gate_upstream_sidecar(struct gate *gate, size_t upstream, bool has_one)
{
    pthread_mutex_lock(&gate->lock);
    gate->upstreams[upstream].has_proofs |= has_one;
    gate->upstreams[upstream].missed += !has_one;
    pthread_mutex_unlock(&gate->lock);
}

bool gate_upstream_has_proofs(struct gate *gate, size_t upstream)
{
    pthread_mutex_lock(&gate->lock);
    bool has_proofs = gate->upstreams[upstream].has_proofs;
    pthread_mutex_unlock(&gate->lock);
    return has_proofs;
}

static unsigned timeout_ms(const struct gate *gate)
{
    return (unsigned)(gate->config->upstream_timeout_s * 1000);
}

struct http_client *gate_take_client(struct gate *gate, struct why *why)
{
    struct http_client *client = NULL;
    struct http_client_config config = { .total_timeout_ms = timeout_ms(gate),
                                         .netrc_file = gate->config->netrc_file,
                                         .allow_file = true,
                                         .stopping = &gate->stopping };
    pthread_mutex_lock(&gate->lock);
    if (gate->idle_n[GATE_CLIENTS] > 0)
        client = gate->idle[GATE_CLIENTS][--gate->idle_n[GATE_CLIENTS]];
    pthread_mutex_unlock(&gate->lock);
    return client != NULL || http_client_new(&client, &config, why) == OK ? client : NULL;
}

struct http_stream *gate_take_stream(struct gate *gate, bool public_only, struct why *why)
{
    enum gate_idle kind = public_only ? GATE_PUBLIC_STREAMS : GATE_STREAMS;
    struct http_stream *stream = NULL;
    struct http_client_config config = { .total_timeout_ms = timeout_ms(gate),
                                         .netrc_file = public_only ? NULL : gate->config->netrc_file,
                                         .allow_file = !public_only,
                                         .public_only = public_only,
                                         .stopping = &gate->stopping };
    pthread_mutex_lock(&gate->lock);
    if (gate->idle_n[kind] > 0)
        stream = gate->idle[kind][--gate->idle_n[kind]];
    pthread_mutex_unlock(&gate->lock);
    return stream != NULL || http_stream_new(&stream, &config, why) == OK ? stream : NULL;
}

static void free_idle(enum gate_idle kind, void *idle)
{
    if (kind == GATE_CLIENTS)
        http_client_free(idle);
    else
        http_stream_free(idle);
}

void gate_give(struct gate *gate, enum gate_idle kind, void *idle)
{
    if (idle == NULL)
        return;
    if (kind != GATE_CLIENTS)
        http_stream_close(idle);
    pthread_mutex_lock(&gate->lock);
    bool kept = gate->idle_n[kind] < GATE_CONNECTIONS_MAX;
    if (kept)
        gate->idle[kind][gate->idle_n[kind]++] = idle;
    pthread_mutex_unlock(&gate->lock);
    if (!kept)
        free_idle(kind, idle);
}

void gate_close_idle(struct gate *gate)
{
    for (enum gate_idle kind = 0; kind < GATE_IDLE_KINDS; kind++)
        while (gate->idle_n[kind] > 0)
            free_idle(kind, gate->idle[kind][--gate->idle_n[kind]]);
}
