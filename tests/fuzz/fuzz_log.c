/*
 * Whatever comes over a connection to a log of some hundred entries: all its routes answer, in this thread. What is posted is
 * verified, and goes no further than the queue.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/routes.h"
#include "tests/attestation.h"
#include "tests/fuzz/still.h"
#include "tests/fuzz/wire.h"
#include "tests/must.h"
#include "tests/own_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ENTRIES = 300, LISTS_FROM = 298 }; /* more than a tile; the last ones have input lists */

static struct log_config log_config = { .free_space_floor_bytes = 1 };
static struct pipeline pipeline = { .config = &log_config, .lock = PTHREAD_MUTEX_INITIALIZER, .queued = PTHREAD_COND_INITIALIZER };
static struct routes routes = { .pipeline = &pipeline };
static const struct builders anybody = { .open = true };

static void fill_store(void)
{
    struct own_log builder;
    struct buf lines = BUF_EMPTY;
    struct why why;
    own_log_make(&builder, "builder.example/fuzz", 1, 0);
    for (uint64_t i = 0; i < ENTRIES; i++)
        must(test_attestation(&lines, builder.key, i, i >= LISTS_FROM ? 300 : 3, &why), &why);
    struct submission *submission;
    struct submission_refusal refusal;
    const struct submission_rules rules = { .builders = &anybody };
    uint64_t size;
    must(submission_parse(&submission, span_buf(&lines), &rules, pipeline.store, &refusal, &why), &why);
    must(store_append(pipeline.store, &submission->part, 1, &size, &why), &why);
    assert(size == ENTRIES);
    submission_free(submission);
    own_log_free(&builder);
    buf_free(&lines);
}

static void publish(void)
{
    struct own_log log;
    struct store_view view;
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    struct head head = { .size = ENTRIES };
    struct why why;
    own_log_make(&log, "log.example/fuzz", 1, 0);
    must(store_view_begin(pipeline.store, &view, &why), &why);
    struct hash_reader reader = store_view_tiles(&view, head.size);
    must(merkle_root(head.size, &reader, &head.root, &why), &why);
    store_view_end(&view);
    own_text(&text, &log, head.size, &head.root);
    own_line(&line, &log, span_buf(&text));
    struct signed_head *shown = signed_head_new(&head, span_buf(&text), span_buf(&line), 1);
    assert(shown != NULL && (pipeline.published = published_new()) != NULL);
    must(published_show(pipeline.published, shown, NULL, &why), &why);
    signed_head_release(shown);
    own_log_free(&log);
    buf_free(&text);
    buf_free(&line);
}

static void begin(void)
{
    const struct witnesses_hooks none = { 0 };
    struct builders *builders = calloc(1, sizeof *builders);
    struct why why;
    report_start("fuzz", REPORT_ERROR);
    must(key_system_start(&why), &why);
    log_config.dir = span_dup_str(span_str(still_folder()));
    log_config.origin = span_dup_str(span_str("log.example/fuzz"));
    must(store_open(&pipeline.store, &(struct store_config){ .dir = log_config.dir, .origin = span_str(log_config.origin) }, &why),
         &why);
    fill_store();
    publish();
    must(witnesses_new(&pipeline.witnesses, span_str(log_config.origin), &none, &why), &why);
    assert(builders != NULL && (routes.hot = hot_new()) != NULL);
    *builders = anybody;
    must(admission_start(&routes.admission, &log_config, builders, &why), &why);
}

/* log/workers.h, without threads. */
enum err workers_start(struct workers **out, unsigned threads, size_t jobs_max, void (*idle)(void *ctx), void *ctx, struct why *why)
{
    (void)threads, (void)jobs_max, (void)idle, (void)ctx, (void)why;
    *out = NULL;
    return OK;
}

void workers_stop(struct workers *workers)
{
    (void)workers;
}

bool workers_take(struct workers *workers, const struct job *job)
{
    (void)workers;
    job->answer(job->routes, job->request, job->rest);
    return true;
}

size_t workers_busy(struct workers *workers)
{
    (void)workers;
    return 0;
}

/* What was queued is right; it is not committed, so that every input meets the same log. */
static void handle(void *ctx, struct http_request *request)
{
    struct submission *submission;
    routes_handle(ctx, request);
    while ((submission = submission_list_take(&pipeline.queue)) != NULL) {
        assert(submission->request == request && submission->part.n > 0 && submission->bytes == http_body(request).len);
        pipeline.queue_bytes -= submission->bytes;
        submission_refuse(submission, "it is not taken here");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct http_server_config config = { .body_bytes_max = SUBMISSION_BYTES_MAX, .handle = handle, .ctx = &routes };
    struct buf replies = BUF_EMPTY;
    struct why why;
    if (pipeline.store == NULL)
        begin();
    atomic_store(&routes.server, wire_server());
    wire_talk(&config, span_of(data, len), &replies);
    assert(replies.len == 0 || span_starts(span_buf(&replies), "HTTP/1.1 "));
    assert(!pipeline_failed(&pipeline, &why) && !store_dead(pipeline.store, &why) && store_size(pipeline.store) == ENTRIES);
    buf_free(&replies);
    return 0;
}
