/*
 * What the files of `stele deliver` share: client/deliver.c goes round by round over the outbox, client/delivery.c brings one
 * batch to the logs, client/delivery_logs.c knows which of them may be asked now.
 *
 * The rule of it all: a letter leaves the outbox when a proof of its bytes verified under the policy and is durable in the own
 * store, or, to OUTBOX/refused, when every log that could take it has refused it for good. Whatever ends the deliverer before
 * that, the letter is posted again, and the log gives a known attestation its old index.
 *
 * A letter goes to the first log of the policy that takes it; the next ones are asked where that gives no answer, no valid one, or
 * refuses.
 */
#ifndef STELE_CLIENT_DELIVERY_H
#define STELE_CLIENT_DELIVERY_H

#include <pthread.h>
#include <signal.h>

#include "client/letters.h"
#include "client/post.h"
#include "client/proofs_sync.h"

enum {
    WORKERS_MAX = 8,        /* batches on their way at once: the log works on some while others' proofs are kept */
    BACKOFF_FIRST_MS = 500, /* of a log that fails; doubled each time, with jitter */
    BACKOFF_MAX_MS = 60000,
    RETRY_AFTER_MAX_S = 3600,    /* what a log asks for beyond this is not believed */
    FROZEN_AGAIN_MS = 600000,    /* a log that has ended is asked again, should it be another's word */
    LETTER_AGAIN_FIRST_MS = 500, /* a letter whose proof does not satisfy the policy yet */
    LETTER_AGAIN_MAX_MS = 600000,
    PART_LOCKS = 64,
};

struct delivery_log {
    size_t number; /* in the policy */
    struct span url;
    bool failing, probing; /* while it fails, one batch at a time finds out whether it still does */
    uint64_t not_before_ms, backoff_ms;
    struct why why;
};

struct delivery {
    struct client_config config;
    struct policy policy;
    struct delivery_log *logs;
    size_t logs_n;
    uint64_t deadline_ms;       /* of --once; UINT64_MAX where there is none */
    pthread_mutex_t round_lock; /* of these two; taken before `lock` */
    struct round round;
    struct deferred deferred_seen; /* a copy, for the round's eyes */
    pthread_mutex_t head_lock;     /* of this one, while it is written to the disk */
    struct buf head;               /* the checkpoint that the memory saw last */
    pthread_mutex_t lock;          /* of all below, and the logs */
    struct deferred deferred;
    size_t batch_letters, batch_bytes, bytes_most; /* as much as is posted at once now; fewer where that gets no answer */
    size_t delivered, refused;
    uint64_t delivered_s;                   /* POSIX time of the last */
    struct why why_waiting;                 /* the last reason why a letter waits; empty where there is none */
    struct buf report;                      /* what `stele status` was told last */
    struct proofs_sync sync;                /* what the workers' proofs have in common */
    pthread_mutex_t part_locks[PART_LOCKS]; /* the own store's file of a hash part: one thread each */
};

struct worker {
    struct delivery *delivery;
    struct http_client *client;
    struct batch batch;
    char *left_over;         /* the name that the batch had no room for: the next one's first */
    struct letter **letters; /* BATCH_LETTERS_MAX: those that a log is asked for */
    struct buf body;
    struct post_answer answer;
    enum err err;
    struct why why;
    pthread_t thread;
};

/* Set by SIGTERM and SIGINT: what is on its way is finished, nothing else begun. */
extern volatile sig_atomic_t delivery_stopped;

/* client/delivery.c */
/* Brings the worker's sealed batch to the logs, keeps the proofs, sets aside what is refused. ERR_ENV where the disk or memory
 * fails. */
enum err delivery_send(struct worker *worker, struct why *why);
/* Sets a letter aside that no log would take. */
enum err delivery_set_aside(struct delivery *delivery, const char *name, const char *reason, struct why *why);

/* client/delivery_logs.c: which log may be asked now. All take the lock. */
/* ERR_ENV where the policy has none with an address. Called again for a new policy. */
enum err delivery_logs_open(struct delivery *delivery, struct why *why);
/* May it be asked now? Then the caller says afterwards that it worked or failed. */
bool delivery_log_take(struct delivery *delivery, size_t log);
void delivery_log_worked(struct delivery *delivery, size_t log);
/* It is left alone for a while, at least for `wait_ms`. */
void delivery_log_failed(struct delivery *delivery, size_t log, uint64_t wait_ms, const struct why *why);
/* When the first of the logs may be asked: 0 for now. */
uint64_t delivery_logs_due_ms(struct delivery *delivery);

#endif
