#include "witness/committer.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/report.h"
#include "witness/evidence.h"
#include "witness/limits.h"
#include "witness/notes.h"

struct committer {
    struct logs *logs;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first, **end;
    size_t queued;
    bool stopping;
    bool committing; /* a thread has what follows in its hands */
    bool alone;      /* the last one had one request, and found none queued behind it */
    atomic_bool dead, due;
    uint64_t heads_left; /* until it is */
    /* One batch. */
    struct job *jobs[SIGNER_BATCH_MAX];
    struct signer_request requests[SIGNER_BATCH_MAX];
    struct signer_answer answers[SIGNER_BATCH_MAX];
};

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    buf_free(&job->log_lines);
    free(job);
}

static const struct http_header plain_headers[] = { { "Content-Type", "text/plain; charset=utf-8" }, { NULL, NULL } };
static const struct http_header size_headers[] = { { "Content-Type", "text/x.tlog.size" }, { NULL, NULL } };

static void answer_cosigned(struct committer *committer, struct job *job, const struct signer_answer *answer)
{
    struct buf line = BUF_EMPTY, note = BUF_EMPTY;
    signer_line(&line, committer->logs->signer, answer);
    buf_span(&note, job->parsed.note.text);
    buf_byte(&note, '\n');
    buf_span(&note, span_buf(&job->log_lines));
    buf_span(&note, span_buf(&line));
    if (line.failed) {
        buf_free(&line);
        buf_free(&note);
        http_reply_problem(job->request, 503, 1, "out of memory");
        return;
    }
    struct head head = { job->parsed.checkpoint.size, job->parsed.checkpoint.root };
    notes_keep(committer->logs, job->log, &note, &head, answer->time_s);
    http_reply_take(job->request, 200, plain_headers, &line);
}

static void answer_conflict(struct job *job, const struct signer_answer *answer)
{
    struct buf size = BUF_EMPTY;
    buf_fmt(&size, "%llu\n", (unsigned long long)answer->last.size);
    http_reply_take(job->request, 409, size_headers, &size);
}

/* The log signed what does not follow: at best a mistake of its operator's, at worst a fork. */
static void report_refused(const struct job *job, const struct signer_answer *answer)
{
    struct buf root = BUF_EMPTY;
    base64_encode(&root, span_of(job->parsed.checkpoint.root.b, sizeof job->parsed.checkpoint.root.b));
    report(REPORT_WARN, "refused", "origin=%s old=%llu size=%llu root=%.*s last=%llu why=%s", report_quote(job->log->origin),
           (unsigned long long)job->parsed.old, (unsigned long long)job->parsed.checkpoint.size, SPAN_FMT(root),
           (unsigned long long)answer->last.size, report_quote(answer->why.text));
    buf_free(&root);
}

/* c2sp.org/tlog-witness, "add-checkpoint": the statuses. */
static void answer(struct committer *committer, struct job *job, const struct signer_answer *answer)
{
    enum outcome outcome = OUTCOME_UNPROVEN;
    struct signed_head head = { &job->parsed.checkpoint, job->parsed.note.text, span_buf(&job->log_lines) };
    evidence_see(committer->logs, job->log, &head, answer->verdict == HEAD_OK && !answer->clock_behind,
                 answer->verdict == HEAD_PROOF_BAD);
    switch (answer->verdict) {
    case HEAD_OK:
        outcome = answer->clock_behind ? OUTCOME_UNAVAILABLE : OUTCOME_COSIGNED;
        if (answer->clock_behind)
            http_reply_problem(job->request, 503, 60, "%s", answer->why.text);
        else
            answer_cosigned(committer, job, answer);
        break;
    case HEAD_OLD_ABOVE:
        outcome = OUTCOME_OLD_ABOVE;
        http_reply_problem(job->request, 400, 0, "%s", answer->why.text);
        break;
    case HEAD_OLD_DIFFERS:
        outcome = OUTCOME_CONFLICT;
        answer_conflict(job, answer);
        break;
    case HEAD_SUSPENDED:
        outcome = OUTCOME_UNAVAILABLE;
        http_reply_problem(job->request, 503, SUSPENDED_RETRY_S, "%s", answer->why.text);
        break;
    case HEAD_EMPTY_ROOT:
    case HEAD_ROOT_DIFFERS:
    case HEAD_PROOF_BAD:
    case HEAD_TOO_FAR:
        report_refused(job, answer);
        http_reply_problem(job->request, 422, 0, "%s", answer->why.text);
        break;
    }
    if (answer->clock_behind)
        report_why(REPORT_ERROR, "clock-behind", &answer->why);
    atomic_fetch_add(&job->log->counts[outcome], 1);
    logs_quota_take(committer->logs, job->log, outcome == OUTCOME_COSIGNED && job->parsed.checkpoint.size > answer->last.size);
}

/* Takes jobs off the list, as many as the signer is given at once. */
static size_t take_batch(struct committer *committer, struct job **list)
{
    size_t n = 0, bytes = 0;
    while (*list != NULL && n < SIGNER_BATCH_MAX && bytes < BATCH_BYTES_MAX) {
        struct job *job = *list;
        *list = job->next;
        bytes += job->parsed.note.text.len + job->parsed.proof_n * sizeof(struct hash);
        committer->jobs[n] = job;
        committer->requests[n] = (struct signer_request){
            .text = job->parsed.note.text, .old = job->parsed.old, .proof = job->parsed.proof, .proof_n = job->parsed.proof_n
        };
        n++;
    }
    return n;
}

/* Of the heads of a batch that is answered. */
static void count_heads(struct committer *committer, size_t n)
{
    uint64_t heads = 0;
    for (size_t i = 0; i < n; i++)
        heads += committer->answers[i].verdict == HEAD_OK && !committer->answers[i].clock_behind;
    if (atomic_load(&committer->due))
        return;
    committer->heads_left -= heads < committer->heads_left ? heads : committer->heads_left;
    if (committer->heads_left == 0) {
        atomic_store(&committer->due, true);
        kill(getpid(), SIGHUP); /* serve.c waits for it */
    }
}

static void commit(struct committer *committer, size_t n)
{
    struct why why;
    bool signs = !atomic_load(&committer->dead);
    if (signs && signer_sign(committer->logs->signer, committer->requests, n, committer->answers, &why) != OK) {
        signs = false;
        atomic_store(&committer->dead, true);
        report(REPORT_ERROR, "signer-failed", "why=%s effect=%s", report_quote(why.text),
               report_quote("nothing is cosigned until a restart"));
    }
    for (size_t i = 0; i < n; i++) {
        struct job *job = committer->jobs[i];
        if (signs) {
            answer(committer, job, &committer->answers[i]);
        } else {
            http_reply_problem(job->request, 503, 60, "the witness cannot sign until it is restarted");
            atomic_fetch_add(&job->log->counts[OUTCOME_UNAVAILABLE], 1);
        }
        atomic_fetch_sub(&job->log->queued, 1);
        job_free(job);
    }
    if (signs)
        count_heads(committer, n);
}

/* Under the lock, with nobody committing: commits what is queued. */
static void commit_queued(struct committer *committer)
{
    struct job *list = committer->first;
    bool one = committer->queued == 1;
    committer->committing = true;
    committer->first = NULL;
    committer->end = &committer->first;
    committer->queued = 0;
    pthread_mutex_unlock(&committer->lock);
    while (list != NULL)
        commit(committer, take_batch(committer, &list));
    pthread_mutex_lock(&committer->lock);
    committer->committing = false;
    committer->alone = one && committer->first == NULL;
}

static void *commit_loop(void *ctx)
{
    struct committer *committer = ctx;
    pthread_mutex_lock(&committer->lock);
    for (;;) {
        while (committer->committing || (committer->first == NULL && !committer->stopping))
            pthread_cond_wait(&committer->changed, &committer->lock);
        if (committer->first == NULL)
            break;
        commit_queued(committer);
    }
    pthread_mutex_unlock(&committer->lock);
    return NULL;
}

struct committer *committer_new(struct logs *logs, uint64_t heads_max)
{
    struct committer *committer = calloc(1, sizeof *committer);
    if (committer == NULL)
        return NULL;
    committer->logs = logs;
    committer->heads_left = heads_max;
    committer->end = &committer->first;
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->changed, NULL);
    return committer;
}

void committer_run(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    if (committer->first != NULL)
        commit_queued(committer);
    pthread_mutex_unlock(&committer->lock);
}

void committer_free(struct committer *committer)
{
    pthread_mutex_destroy(&committer->lock);
    pthread_cond_destroy(&committer->changed);
    free(committer);
}

enum err committer_start(struct committer **out, struct logs *logs, uint64_t heads_max, struct why *why)
{
    struct committer *committer = committer_new(logs, heads_max);
    if (committer == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (pthread_create(&committer->thread, NULL, commit_loop, committer) != 0) {
        committer_free(committer);
        return fail(why, ERR_ENV, "no thread for the committer");
    }
    *out = committer;
    return OK;
}

/* Under the lock. */
static void enqueue(struct committer *committer, struct job *job)
{
    atomic_fetch_add(&job->log->queued, 1);
    job->next = NULL;
    *committer->end = job;
    committer->end = &job->next;
    committer->queued++;
}

bool committer_queue(struct committer *committer, struct job *job)
{
    pthread_mutex_lock(&committer->lock);
    bool room = committer->queued < QUEUE_REQUESTS_MAX;
    if (room) {
        enqueue(committer, job);
        bool first = !committer->committing && committer->queued == 1;
        if (first && committer->alone)
            commit_queued(committer);
        if (first && committer->first != NULL)
            pthread_cond_signal(&committer->changed);
    }
    pthread_mutex_unlock(&committer->lock);
    return room;
}

bool committer_is_due(const struct committer *committer)
{
    return atomic_load(&committer->due);
}

bool committer_works(const struct committer *committer)
{
    return !atomic_load(&committer->dead);
}

void committer_stop(struct committer *committer)
{
    if (committer == NULL)
        return;
    pthread_mutex_lock(&committer->lock);
    committer->stopping = true;
    pthread_cond_signal(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
    pthread_join(committer->thread, NULL);
    committer_free(committer);
}
