/* c2sp.org/tlog-witness, "add-checkpoint", up to the log's signature; the rest is the committer's. */
#include <stdlib.h>

#include "witness/limits.h"
#include "witness/routes.h"

/* The lines by the log's keys, one a key: what the monitoring route shows beside our cosignature. */
static void keep_log_lines(const struct log *log, const struct note *note, struct buf *out)
{
    bool kept[ORIGIN_KEYS_MAX] = { false };
    struct span rest = note->sig_lines;
    struct note_sig sig;
    while (note_next_sig(&rest, &sig))
        for (size_t i = 0; i < log->keys_n; i++)
            if (!kept[i] && note_sig_is_by(&sig, &log->keys[i])) {
                kept[i] = true;
                buf_span(out, sig.line);
                buf_byte(out, '\n');
            }
}

/* Finds the log and verifies its signature. ERR_USAGE for an unknown origin, ERR_REFUSED without a good signature. */
static enum err verify(struct witness *witness, struct job *job, struct why *why)
{
    struct checkpoint checkpoint;
    struct span origin = job->parsed.checkpoint.origin;
    pthread_rwlock_rdlock(&witness->logs.lock);
    job->log = logs_find(&witness->logs, origin);
    enum err err = OK;
    if (job->log == NULL)
        err = fail(why, ERR_USAGE, "this witness does not know the log %.*s", SPAN_FMT(origin));
    else
        err = checkpoint_open(&checkpoint, &job->parsed.note, origin, job->log->keys, job->log->keys_n, why);
    if (err == OK)
        keep_log_lines(job->log, &job->parsed.note, &job->log_lines);
    pthread_rwlock_unlock(&witness->logs.lock);
    return err == OK ? buf_done(&job->log_lines, why) : err;
}

/* Within the log's limits? Otherwise answers 429. */
static bool within_limits(struct witness *witness, const struct job *job)
{
    struct log *log = job->log;
    unsigned wait_s = 1;
    bool fits = atomic_load(&log->queued) < QUEUED_A_LOG_MAX &&
                logs_quota_allows(&witness->logs, log, job->parsed.checkpoint.size > atomic_load(&log->size), &wait_s);
    if (!fits) {
        atomic_fetch_add(&log->counts[OUTCOME_LIMITED], 1);
        http_reply_problem(job->request, 429, wait_s, "this log has asked for as much as it may");
    }
    return fits;
}

void add_checkpoint(struct witness *witness, struct http_request *request)
{
    struct why why = { "" };
    struct job *job = calloc(1, sizeof *job);
    enum err err =
        job == NULL ? fail(&why, ERR_ENV, "out of memory") : add_checkpoint_parse(&job->parsed, http_body(request), &why);
    if (err == ERR_MALFORMED) {
        atomic_fetch_add(&witness->malformed, 1);
        http_reply_problem(request, 400, 0, "%s", why.text);
    }
    if (err == OK) {
        job->request = request;
        err = verify(witness, job, &why);
        if (err == ERR_USAGE) {
            atomic_fetch_add(&witness->unknown_origin, 1);
            http_reply_problem(request, 404, 0, "%s", why.text);
        } else if (err == ERR_REFUSED) {
            atomic_fetch_add(&job->log->counts[OUTCOME_NOT_SIGNED], 1);
            http_reply_problem(request, 403, 0, "%s", why.text);
        }
    }
    if (err == OK && !within_limits(witness, job)) {
        job_free(job);
        return;
    }
    if (err == OK && committer_queue(witness->committer, job))
        return;
    if (err == OK) {
        atomic_fetch_add(&witness->queue_full, 1);
        err = fail(&why, ERR_ENV, "too many requests at once");
    }
    if (err == ERR_ENV)
        http_reply_problem(request, 503, 1, "%s", why.text);
    job_free(job);
}
