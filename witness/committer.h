/*
 * Who asks the signer. Under load that is one thread, which takes everything queued, so that many requests share one fdatasync, and
 * answers each. A request that comes alone is committed by the thread that brings it: to hand it over and back would take as long
 * as to sign it.
 */
#ifndef STELE_WITNESS_COMMITTER_H
#define STELE_WITNESS_COMMITTER_H

#include "lib/addcheckpoint.h"
#include "lib/sys/http_server.h"
#include "witness/logs.h"

/* A request whose log is known and whose log signature holds. */
struct job {
    struct job *next;
    struct http_request *request; /* its body is what `parsed` borrows from */
    struct log *log;
    struct add_checkpoint parsed;
    struct buf log_lines; /* the signature lines that were verified */
};

struct committer;
/* After `heads_max` heads the process gets a SIGHUP, once, and committer_is_due is true. */
enum err committer_start(struct committer **out, struct logs *logs, uint64_t heads_max, struct why *why);
bool committer_is_due(const struct committer *committer);
/* Takes the job, answers its request, at once or in time, and frees it. False, and nothing taken, where the queue is full. */
bool committer_queue(struct committer *committer, struct job *job);
/* False once the signer died or its disk failed: nothing is cosigned until a restart. */
bool committer_works(const struct committer *committer);
/* Answers what is queued, and frees. Nothing may be queued any more. */
void committer_stop(struct committer *committer);
void job_free(struct job *job);

/* The same without the thread, for a fuzz target: committer_run answers what is queued. */
struct committer *committer_new(struct logs *logs, uint64_t heads_max);
void committer_run(struct committer *committer);
void committer_free(struct committer *committer);

#endif
