/*
 * The way of a submission through the log:
 *
 *   HTTP thread ─▶ verifiers: parse, verify ─▶ queue ─▶ sequencer: one commit for all that is queued ─▶ waiting
 *     ─▶ publisher: read back, recompute, sign, witnesses, publish ─▶ answers ─▶ answerer: proof bundles, reply
 *
 * Three threads beside the verifiers, one lock. Commits run ahead, heads do not: one signed head is out at a time, and the next
 * covers everything committed since. A crash between any two steps loses nothing that was answered: what is committed is
 * published by the same code after a restart, and a client that got no answer asks again and gets the same index.
 */
#ifndef STELE_LOG_PIPELINE_H
#define STELE_LOG_PIPELINE_H

#include <pthread.h>

#include "lib/sys/metrics.h"
#include "lib/sys/signer.h"
#include "log/published.h"
#include "log/submission.h"
#include "log/witnesses.h"
#include "log/workers.h"

struct publisher;

/* For the metrics: from any thread. */
struct pipeline_counts {
    struct histogram read, queued, commit, sign, quorum, answer;
    atomic_ullong batches, entries, heads;
};

struct pipeline {
    const struct log_config *config;
    struct store *store;
    const struct vkey *key; /* the log's */
    struct signer *signer;  /* NULL where the log is frozen */
    const char *frozen;     /* why it takes nothing; NULL where it is not frozen */
    struct published *published;
    struct witnesses *witnesses;
    struct publisher *publisher; /* its thread's alone */
    struct workers *verifiers;   /* parse and verify what is posted, and queue it */
    pthread_t sequencer_thread, publisher_thread, answerer_thread;
    struct pipeline_counts counts;
    atomic_bool heads_due; /* `heads_max` heads were signed: the process got a SIGHUP, once, and is to start anew */

    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t queued, answerable;
    struct submission_list queue, waiting, answers;
    size_t queue_bytes;
    uint64_t committed, signed_size, published_size;
    uint64_t behind_since_ms;   /* since when no head was published though one should be; 0: none is due */
    bool compared;              /* a quorum of witnesses has said which head it has: new ones may be committed and signed */
    struct policy *next_policy; /* reread, not in use yet */
    bool draining;              /* takes nothing new */
    bool stopping;
    bool failed; /* a storage error: nothing is committed, signed or answered any more */
    struct why why_failed;
    uint64_t submitted, timed_out; /* submissions */
};

/* Starts the three threads. All that `pipeline` points to was set by the caller; `policy` is owned from here on. ERR_REFUSED
 * where the log's data contradicts its signer, its published checkpoint or what a witness shows: the log must not go on. */
enum err pipeline_start(struct pipeline *pipeline, struct policy *policy, struct why *why);
/* Ends the threads, and refuses what is not answered then. */
void pipeline_stop(struct pipeline *pipeline);
/* From now on new submissions are refused. */
void pipeline_drain(struct pipeline *pipeline);
/* Uses another policy, owned from here on. */
void pipeline_use_policy(struct pipeline *pipeline, struct policy *policy);

/* May a submission be queued? Asked before one is parsed, too, so that a full log costs nothing. Where not, `why` says so. */
bool pipeline_takes(struct pipeline *pipeline, struct why *why);
/* Takes a submission, whose request will be answered. False, with `why`, where the queue is full: it stays the caller's. */
bool pipeline_submit(struct pipeline *pipeline, struct submission *submission, struct why *why);
bool pipeline_failed(struct pipeline *pipeline, struct why *why);

/* The parts, each in its own file. */
void *sequencer_run(void *pipeline);
enum err publisher_new(struct publisher **out, struct pipeline *pipeline, struct policy *policy, struct why *why);
void publisher_free(struct publisher *publisher);
void *publisher_run(void *pipeline);

/* The log can go no further: everything that waits, and all that comes, gets 503. */
void pipeline_fail(struct pipeline *pipeline, const char *where, const struct why *why);
/* How long a submission may wait for its head. */
uint64_t pipeline_patience_ms(const struct pipeline *pipeline);
/* 503 for a submission, and the end of it; 410 where asking again never helps. */
void submission_refuse(struct submission *submission, const char *reason);
void submission_refuse_for_good(struct submission *submission, const char *reason);

#endif
