#include "log/metrics.h"

#include <stdio.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "log/limits.h"

static void gauge(struct buf *out, const char *name, const char *help, double value)
{
    metrics_one(out, name, "gauge", help, value);
}

static void counter(struct buf *out, const char *name, const char *help, double value)
{
    metrics_one(out, name, "counter", help, value);
}

static double age_s(uint64_t since_ms, uint64_t now_ms)
{
    return since_ms == 0 || since_ms > now_ms ? 0 : (double)(now_ms - since_ms) / 1000;
}

/* What stands under the pipeline's lock, as of one moment. */
struct moment {
    uint64_t committed, signed_size, published_size, behind_since_ms, submitted, timed_out, queued_ms, waits_ms;
    size_t queue, queue_bytes, waiting, answers;
    bool failed;
};

static struct moment take(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct moment m = {
        .committed = pipeline->committed,
        .signed_size = pipeline->signed_size,
        .published_size = pipeline->published_size,
        .behind_since_ms = pipeline->behind_since_ms,
        .submitted = pipeline->submitted,
        .timed_out = pipeline->timed_out,
        .queued_ms = pipeline->queue.first == NULL ? 0 : pipeline->queue.first->taken_us / 1000,
        .waits_ms = pipeline->waiting.first == NULL ? 0 : pipeline->waiting.first->taken_us / 1000,
        .queue = pipeline->queue.n,
        .queue_bytes = pipeline->queue_bytes,
        .waiting = pipeline->waiting.n,
        .answers = pipeline->answers.n,
        .failed = pipeline->failed,
    };
    pthread_mutex_unlock(&pipeline->lock);
    return m;
}

static void how_fast(struct routes *routes, const struct moment *m, struct buf *out)
{
    struct pipeline_counts *counts = &routes->pipeline->counts;
    counter(out, "stele_log_submissions_total", "Submissions queued.", (double)m->submitted);
    metrics_family(out, "stele_log_submissions_refused_total", "counter", "Submissions refused, by the status of the answer.");
    for (size_t i = 0; admission_statuses[i] != 0; i++) {
        char status[12];
        snprintf(status, sizeof status, "%u", admission_statuses[i]);
        metrics_value(out, "stele_log_submissions_refused_total", "status", status,
                      (double)atomic_load(&routes->admission.refused[i]));
    }
    counter(out, "stele_log_submissions_timed_out_total", "Submissions without a quorum in time.", (double)m->timed_out);
    counter(out, "stele_log_batches_total", "Commits.", (double)atomic_load(&counts->batches));
    counter(out, "stele_log_entries_total", "Entries committed since the start.", (double)atomic_load(&counts->entries));
    counter(out, "stele_log_heads_total", "Heads published since the start.", (double)atomic_load(&counts->heads));
    gauge(out, "stele_log_tree_size", "Entries committed.", (double)m->committed);
    gauge(out, "stele_log_signed_size", "Size of the newest signed head.", (double)m->signed_size);
    gauge(out, "stele_log_published_size", "Size of the published head; 0 for none.", (double)m->published_size);
}

static void how_long(struct routes *routes, const struct moment *m, struct buf *out)
{
    struct pipeline_counts *counts = &routes->pipeline->counts;
    uint64_t now_ms = clock_monotonic_ms(), at_ms = published_at_ms(routes->pipeline->published);
    metrics_histogram(out, "stele_log_read_seconds", "From a submission's turn to its parsed and verified body.", &counts->read);
    metrics_histogram(out, "stele_log_queued_seconds", "From a verified submission to its commit's begin.", &counts->queued);
    metrics_histogram(out, "stele_log_commit_seconds", "A durable commit.", &counts->commit);
    metrics_histogram(out, "stele_log_sign_seconds", "Recomputing the tree and having its head signed.", &counts->sign);
    metrics_histogram(out, "stele_log_quorum_seconds", "From a signed head to its quorum.", &counts->quorum);
    metrics_histogram(out, "stele_log_answer_seconds", "From a verified submission to its answer.", &counts->answer);
    gauge(out, "stele_log_queue_age_seconds", "Age of the oldest submission that waits for a commit.", age_s(m->queued_ms, now_ms));
    gauge(out, "stele_log_waiting_age_seconds", "Age of the oldest submission that waits for a head.", age_s(m->waits_ms, now_ms));
    gauge(out, "stele_log_behind_seconds", "For how long a head has been due; 0 where none is.", age_s(m->behind_since_ms, now_ms));
    if (at_ms > 0)
        gauge(out, "stele_log_published_age_seconds", "Since a head was last published.", age_s(at_ms, now_ms));
}

static void how_full(struct routes *routes, const struct moment *m, struct buf *out)
{
    struct store_metrics store;
    uint64_t free_bytes;
    struct why why;
    store_metrics(routes->pipeline->store, &store);
    gauge(out, "stele_log_failed", "1 after a storage error: nothing is taken until a restart.", m->failed);
    gauge(out, "stele_log_frozen", "1 where the log takes nothing any more.", routes->pipeline->frozen != NULL);
    gauge(out, "stele_log_queue_submissions", "Submissions that wait for a commit.", (double)m->queue);
    gauge(out, "stele_log_queue_submissions_max", "Above it 503.", QUEUE_SUBMISSIONS_MAX);
    gauge(out, "stele_log_queue_bytes", "Their bodies.", (double)m->queue_bytes);
    gauge(out, "stele_log_queue_bytes_max", "Above it 503.", QUEUE_BYTES_MAX);
    gauge(out, "stele_log_waiting_submissions", "Submissions that wait for a head.", (double)m->waiting);
    gauge(out, "stele_log_answers_submissions", "Submissions that wait for their proofs to be rendered.", (double)m->answers);
    gauge(out, "stele_log_verifying", "Submissions that are being verified, or wait for it.",
          (double)workers_busy(routes->pipeline->verifiers));
    gauge(out, "stele_log_suspects", "Submissions from addresses that sent bad signatures, likewise.",
          (double)workers_busy(routes->admission.suspects));
    gauge(out, "stele_log_lookups", "Look-ups that are being answered, or wait for it.", (double)workers_busy(routes->lookups));
    gauge(out, "stele_log_data_bytes", "Of the entries' database, in use.", (double)store.data_bytes);
    gauge(out, "stele_log_index_bytes", "Of the indices' database, in use.", (double)store.index_bytes);
    gauge(out, "stele_log_seen_bytes", "Of the set of leaf hashes.", (double)store.seen_bytes);
    gauge(out, "stele_log_index_lag_entries", "Entries that are not in the stored indices yet.", (double)store.index_lag_entries);
    if (disk_free(routes->pipeline->config->dir, &free_bytes, &why) == OK)
        gauge(out, "stele_log_disk_free_bytes", "Of the log's file system.", (double)free_bytes);
    gauge(out, "stele_log_disk_floor_bytes", "Below it nothing new is taken.",
          (double)routes->pipeline->config->free_space_floor_bytes);
}

static void who_asks(struct routes *routes, struct buf *out)
{
    struct http_server_counts http = { 0 };
    if (routes->server != NULL)
        http_server_counts(routes->server, &http);
    gauge(out, "stele_log_http_connections", "Open connections.", http.connections);
    gauge(out, "stele_log_http_connections_max", "Above it those that wait make room.", http.connections_max);
    gauge(out, "stele_log_http_requests", "Requests under way.", (double)http.requests_now);
    gauge(out, "stele_log_http_bodies_bytes", "Of the requests that are held.", (double)http.bodies_bytes);
    gauge(out, "stele_log_http_replies_bytes", "Of the large answers that are being sent.", (double)http.replies_bytes);
    counter(out, "stele_log_http_requests_total", "Requests that came whole.", (double)http.requests);
    counter(out, "stele_log_http_malformed_total", "Requests whose head was refused.", (double)http.malformed);
    counter(out, "stele_log_http_cut_total", "Connections closed to make room for another.", (double)http.cut_for_room);
    counter(out, "stele_log_http_no_room_total", "Connections closed at once because all others were busy.", (double)http.no_room);
    counter(out, "stele_log_http_too_slow_total", "Connections closed because they took too long.", (double)http.too_slow);
}

void metrics_render(struct routes *routes, struct buf *out)
{
    struct moment moment = take(routes->pipeline);
    how_fast(routes, &moment, out);
    how_long(routes, &moment, out);
    how_full(routes, &moment, out);
    witnesses_metrics(routes->pipeline->witnesses, out);
    who_asks(routes, out);
}
