/* The queues, the answerer, and the pipeline's start and end. */
#include "log/pipeline.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_server.h"
#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/proofs.h"

uint64_t pipeline_patience_ms(const struct pipeline *pipeline)
{
    return pipeline->config->quorum_timeout_ms + pipeline->config->head_interval_ms;
}

void submission_refuse(struct submission *submission, const char *reason)
{
    http_reply_problem(submission->request, 503, RETRY_AFTER_S, "%s", reason);
    submission_free(submission);
}

static void refuse_all(struct submission_list *list, const char *reason)
{
    struct submission *submission;
    while ((submission = submission_list_take(list)) != NULL)
        submission_refuse(submission, reason);
}

#define FAILED_TEXT "the log met a storage error and takes nothing until its operator has looked at it"

void pipeline_fail(struct pipeline *pipeline, const char *where, const struct why *why)
{
    report(REPORT_ERROR, "failed", "where=%s why=%s", where, report_quote(why->text));
    store_kill(pipeline->store, why);
    struct submission_list queue, waiting;
    pthread_mutex_lock(&pipeline->lock);
    if (!pipeline->failed)
        pipeline->why_failed = *why;
    pipeline->failed = true;
    queue = pipeline->queue;
    waiting = pipeline->waiting;
    pipeline->queue = pipeline->waiting = (struct submission_list){ 0 };
    pipeline->queue_bytes = 0;
    pthread_mutex_unlock(&pipeline->lock);
    refuse_all(&queue, FAILED_TEXT);
    refuse_all(&waiting, FAILED_TEXT);
}

bool pipeline_failed(struct pipeline *pipeline, struct why *why)
{
    pthread_mutex_lock(&pipeline->lock);
    bool failed = pipeline->failed;
    if (failed)
        *why = pipeline->why_failed;
    pthread_mutex_unlock(&pipeline->lock);
    return failed;
}

/* With the lock held. */
static bool takes(struct pipeline *pipeline, struct why *why)
{
    if (pipeline->failed)
        fail(why, ERR_ENV, FAILED_TEXT);
    else if (pipeline->draining)
        fail(why, ERR_ENV, "the log is being stopped");
    else if (pipeline->queue.n >= QUEUE_SUBMISSIONS_MAX || pipeline->queue_bytes >= QUEUE_BYTES_MAX)
        fail(why, ERR_ENV, "the log's queue is full");
    else
        return true;
    pipeline->refused_full++;
    return false;
}

bool pipeline_takes(struct pipeline *pipeline, struct why *why)
{
    pthread_mutex_lock(&pipeline->lock);
    bool yes = takes(pipeline, why);
    pthread_mutex_unlock(&pipeline->lock);
    return yes;
}

bool pipeline_submit(struct pipeline *pipeline, struct submission *submission, struct why *why)
{
    submission->deadline_ms = clock_monotonic_ms() + pipeline_patience_ms(pipeline);
    pthread_mutex_lock(&pipeline->lock);
    bool yes = takes(pipeline, why);
    if (yes) {
        submission_list_add(&pipeline->queue, submission);
        pipeline->queue_bytes += submission->bytes;
        pipeline->submitted++;
        pthread_cond_signal(&pipeline->queued);
    }
    pthread_mutex_unlock(&pipeline->lock);
    return yes;
}

/* Every bundle of a submission, under the newest head. */
static enum err render_answer(struct pipeline *pipeline, const struct submission *submission, const struct published_head *head,
                              struct buf *out, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(pipeline->store, &view, why);
    if (err != OK)
        return err;
    for (size_t i = 0; i < submission->part.n && err == OK; i++) {
        const struct store_entry *entry = &submission->part.entries[i];
        err = proof_of_entry(&view, head, entry->index, entry->bytes, out, why);
    }
    store_view_end(&view);
    return err == OK ? buf_done(out, why) : err;
}

static void answer(struct pipeline *pipeline, struct submission *submission)
{
    static const struct http_header headers[] = {
        { "Content-Type", "text/plain; charset=utf-8" },
        { "Cache-Control", "no-store" },
        { NULL, NULL },
    };
    struct published_view shown = published_take(pipeline->published);
    struct buf body = BUF_EMPTY;
    struct why why;
    if (shown.newest == NULL || shown.newest->head.size < submission->covers) {
        /* The policy changed in between. */
        submission_refuse(submission, "the log's head is not under its witnesses' quorum at the moment: try again");
    } else if (render_answer(pipeline, submission, shown.newest, &body, &why) != OK) {
        report_why(REPORT_ERROR, "answer", &why);
        submission_refuse(submission, "the log could not build the proofs");
    } else {
        http_reply_take(submission->request, 200, headers, &body);
        submission_free(submission);
    }
    buf_free(&body);
    published_release(&shown);
}

static void *answerer_run(void *ctx)
{
    struct pipeline *pipeline = ctx;
    pthread_mutex_lock(&pipeline->lock);
    while (!pipeline->stopping) {
        struct submission *submission = submission_list_take(&pipeline->answers);
        if (submission == NULL) {
            pthread_cond_wait(&pipeline->answerable, &pipeline->lock);
            continue;
        }
        pthread_mutex_unlock(&pipeline->lock);
        answer(pipeline, submission);
        pthread_mutex_lock(&pipeline->lock);
    }
    pthread_mutex_unlock(&pipeline->lock);
    return NULL;
}

enum err pipeline_start(struct pipeline *pipeline, struct policy *policy, struct why *why)
{
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_cond_init(&pipeline->queued, NULL);
    pthread_cond_init(&pipeline->answerable, NULL);
    enum err err = publisher_new(&pipeline->publisher, pipeline, policy, why);
    if (err != OK) {
        publisher_free(pipeline->publisher);
        return err;
    }
    if (pthread_create(&pipeline->sequencer_thread, NULL, sequencer_run, pipeline) != 0 ||
        pthread_create(&pipeline->publisher_thread, NULL, publisher_run, pipeline) != 0 ||
        pthread_create(&pipeline->answerer_thread, NULL, answerer_run, pipeline) != 0)
        return fail(why, ERR_ENV, "cannot start a thread"); /* the process ends */
    return OK;
}

void pipeline_drain(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->draining = true;
    pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_use_policy(struct pipeline *pipeline, struct policy *policy)
{
    pthread_mutex_lock(&pipeline->lock);
    struct policy *unused = pipeline->next_policy;
    pipeline->next_policy = policy;
    pthread_mutex_unlock(&pipeline->lock);
    if (unused != NULL) {
        policy_free(unused);
        free(unused);
    }
    witnesses_wake(pipeline->witnesses);
}

void pipeline_stop(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->stopping = true;
    pthread_cond_broadcast(&pipeline->queued);
    pthread_cond_broadcast(&pipeline->answerable);
    pthread_mutex_unlock(&pipeline->lock);
    witnesses_wake(pipeline->witnesses);
    pthread_join(pipeline->sequencer_thread, NULL);
    pthread_join(pipeline->publisher_thread, NULL);
    pthread_join(pipeline->answerer_thread, NULL);
    refuse_all(&pipeline->queue, "the log was stopped");
    refuse_all(&pipeline->waiting, "the log was stopped");
    refuse_all(&pipeline->answers, "the log was stopped");
    publisher_free(pipeline->publisher);
    pthread_cond_destroy(&pipeline->queued);
    pthread_cond_destroy(&pipeline->answerable);
    pthread_mutex_destroy(&pipeline->lock);
}
