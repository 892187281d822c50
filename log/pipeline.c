/* The queues, the answerer, and the pipeline's start and end. */
#include "log/pipeline.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
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

void submission_refuse_for_good(struct submission *submission, const char *reason)
{
    http_reply_problem(submission->request, 410, 0, "%s", reason);
    submission_free(submission);
}

static void refuse_all(struct submission_list *list, const char *reason)
{
    struct submission *submission;
    while ((submission = submission_list_take(list)) != NULL)
        submission_refuse(submission, reason);
}

#define FAILED_TEXT "the log failed, and takes nothing until it is started again"

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
    submission->taken_us = clock_monotonic_us();
    submission->deadline_ms = submission->taken_us / 1000 + pipeline_patience_ms(pipeline);
    pthread_mutex_lock(&pipeline->lock);
    bool yes = takes(pipeline, why);
    if (yes) {
        submission_list_add(&pipeline->queue, submission);
        pipeline->queue_bytes += submission->bytes;
        pipeline->submitted++;
        /* In between the sequencer waits for the verifiers to be done, or for its time to be over. */
        if (pipeline->queue.n == 1 || pipeline->queue_bytes >= BATCH_WAIT_BYTES)
            pthread_cond_signal(&pipeline->queued);
    }
    pthread_mutex_unlock(&pipeline->lock);
    return yes;
}

/* All that is verified is queued: the sequencer need not wait for more. */
static void verifiers_idle(void *ctx)
{
    struct pipeline *pipeline = ctx;
    pthread_mutex_lock(&pipeline->lock);
    pthread_cond_signal(&pipeline->queued);
    pthread_mutex_unlock(&pipeline->lock);
}

/* What the answerer works with: the head of now, and a snapshot for as many answers as one may serve. */
struct answering {
    struct pipeline *pipeline;
    struct published_view shown;
    struct store_view view;
    bool viewing;
    unsigned answered;
    struct tile_cache cache;
};

static enum err begin_answer(struct answering *answering, struct why *why)
{
    if (answering->viewing)
        return OK;
    enum err err = store_view_begin(answering->pipeline->store, &answering->view, why);
    answering->viewing = err == OK;
    answering->view.tiles.cache = &answering->cache;
    return err;
}

static void end_answers(struct answering *answering)
{
    if (answering->viewing)
        store_view_end(&answering->view);
    published_release(&answering->shown);
    answering->viewing = false;
    answering->answered = 0;
}

/* Every bundle of a submission, under the newest head. */
static enum err render_answer(struct answering *answering, const struct submission *submission, struct buf *out, struct why *why)
{
    enum err err = begin_answer(answering, why);
    for (size_t i = 0; i < submission->part.n && err == OK; i++) {
        const struct store_entry *entry = &submission->part.entries[i];
        err = proof_of_entry(&answering->view, answering->shown.newest, entry->index, entry->bytes, out, why);
    }
    return err == OK ? buf_done(out, why) : err;
}

static void answer(struct answering *answering, struct submission *submission)
{
    static const struct http_header headers[] = {
        { "Content-Type", "text/plain; charset=utf-8" },
        { "Cache-Control", "no-store" },
        { NULL, NULL },
    };
    const struct published_head *newest = answering->shown.newest;
    struct buf body = BUF_EMPTY;
    struct why why;
    if (newest == NULL || newest->head.size < submission->covers) {
        /* The policy changed in between. */
        submission_refuse(submission, "the log's head is not under its witnesses' quorum at the moment: try again");
    } else if (render_answer(answering, submission, &body, &why) != OK) {
        report_why(REPORT_ERROR, "answer", &why);
        submission_refuse(submission, "the log could not build the proofs");
    } else {
        http_reply_take(submission->request, 200, headers, &body);
        histogram_add(&answering->pipeline->counts.answer, clock_monotonic_us() - submission->taken_us);
        submission_free(submission);
    }
    buf_free(&body);
}

static void *answerer_run(void *ctx)
{
    struct pipeline *pipeline = ctx;
    struct answering *answering = calloc(1, sizeof *answering);
    if (answering == NULL) {
        pipeline_fail(pipeline, "answerer", &(struct why){ "out of memory" });
        return NULL;
    }
    answering->pipeline = pipeline;
    pthread_mutex_lock(&pipeline->lock);
    while (!pipeline->stopping) {
        if (pipeline->answers.n == 0) {
            pthread_cond_wait(&pipeline->answerable, &pipeline->lock);
            continue;
        }
        struct submission_list list = pipeline->answers;
        pipeline->answers = (struct submission_list){ 0 };
        pthread_mutex_unlock(&pipeline->lock);
        for (struct submission *submission; (submission = submission_list_take(&list)) != NULL;) {
            if (answering->answered++ == 0)
                answering->shown = published_take(pipeline->published);
            answer(answering, submission);
            if (answering->answered == ANSWERS_A_VIEW_MAX)
                end_answers(answering);
        }
        end_answers(answering);
        pthread_mutex_lock(&pipeline->lock);
    }
    pthread_mutex_unlock(&pipeline->lock);
    free(answering);
    return NULL;
}

static unsigned verifiers_n(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 2 ? 2 : cores > VERIFIERS_MAX ? VERIFIERS_MAX : (unsigned)cores;
}

enum err pipeline_start(struct pipeline *pipeline, struct policy *policy, struct why *why)
{
    pthread_mutex_init(&pipeline->lock, NULL);
    cond_init(&pipeline->queued);
    pthread_cond_init(&pipeline->answerable, NULL);
    enum err err = publisher_new(&pipeline->publisher, pipeline, policy, why);
    if (err != OK) {
        publisher_free(pipeline->publisher);
        return err;
    }
    if ((err = workers_start(&pipeline->verifiers, verifiers_n(), HTTP_CONNECTIONS_LIMIT, verifiers_idle, pipeline, why)) != OK)
        return err;
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
    workers_stop(pipeline->verifiers);
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
