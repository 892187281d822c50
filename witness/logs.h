/*
 * The logs that a witness knows: DIR/logs in memory, and with each log what the witness last said about it.
 */
#ifndef STELE_WITNESS_LOGS_H
#define STELE_WITNESS_LOGS_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/sys/rate.h"
#include "lib/sys/signer.h"

/* How a request to add-checkpoint ended, for the metrics. */
enum outcome {
    OUTCOME_COSIGNED,    /* 200 */
    OUTCOME_OLD_ABOVE,   /* 400: the old size exceeds the checkpoint's */
    OUTCOME_NOT_SIGNED,  /* 403 */
    OUTCOME_CONFLICT,    /* 409 */
    OUTCOME_UNPROVEN,    /* 422 */
    OUTCOME_LIMITED,     /* 429 */
    OUTCOME_UNAVAILABLE, /* 503 */
    OUTCOMES
};

/* A log once known stays in memory until the process ends; out of use it has no keys. */
struct log {
    char *origin;
    struct hash origin_hash;
    char hex[65];            /* of origin_hash */
    const struct vkey *keys; /* of the table's */
    size_t keys_n;
    _Atomic uint64_t counts[OUTCOMES];
    _Atomic uint64_t qpd;    /* requests a day; 0 for no limit */
    _Atomic unsigned queued; /* before the committer */
    /* What it used of its day (lib/sys/rate.h), under logs->quota_lock. Two of them, since nobody is authenticated: whoever has
     * seen a head of the log can send it again and again, but only the log makes a larger one, which must not wait for that. */
    uint64_t growth_clear_us, other_clear_us; /* by larger heads that were cosigned; by everything else under its signature */
    atomic_bool suspended;                    /* the signer waits for `resume` */
    /* Under logs->notes_lock: */
    struct buf note;       /* the newest checkpoint, with the log's verified lines and our cosignature; empty where there is none */
    _Atomic uint64_t size; /* of the note; may be read without the lock */
    struct hash root;
    uint64_t time_s;
    /* What speaks against it (witness/evidence.h): */
    bool forked;           /* there is evidence */
    atomic_bool suspected; /* there is a suspect */
    struct buf suspect;    /* its note */
    struct head suspect_head;
    struct buf evidence; /* the file, until it is written */
    atomic_bool evidence_dirty, suspect_dirty;
    bool dirty; /* not in DIR/checkpoints yet */
};

struct logs {
    const char *dir;
    struct signer *signer;
    pthread_rwlock_t lock; /* over the rest of this block; held while a log's keys are used */
    struct log **items;    /* by origin */
    struct log **by_hash;  /* by origin_hash */
    size_t n;
    struct vkey *keys;
    struct buf text;           /* what the keys' names borrow from */
    uint64_t qpd;              /* of a log without a limit of its own */
    pthread_mutex_t load_lock; /* held by whoever changes the table */
    pthread_mutex_t quota_lock;
    pthread_mutex_t evidence_lock; /* held while DIR/evidence and DIR/suspects are written; taken before the next */
    pthread_mutex_t notes_lock;
    pthread_cond_t notes_changed;
    bool notes_dirty; /* under notes_lock: some log's is */
};

/* `qpd` is the limit of a log that has none of its own; 0 for no limit. */
void logs_init(struct logs *logs, const char *dir, struct signer *signer, uint64_t qpd);
void logs_free(struct logs *logs);

/* Reads DIR/logs anew; on an error what was known stays. A log that is new gets its note of DIR/checkpoints, where that holds.
 * ERR_REFUSED where a note shows that the signer's heads are old ones. Safe from several threads. */
enum err logs_load(struct logs *logs, struct why *why);

/* With logs->lock held for reading: the log of this origin or hash, NULL where it is not known. */
struct log *logs_find(const struct logs *logs, struct span origin);
struct log *logs_find_hex(const struct logs *logs, struct span hex);

/* May the log send one more of that kind today? If not, in how many seconds. Takes nothing: logs_quota_take does, once it is known
 * what a request turned out to be. Requests that were under way together may overdraw it: what waits before the committer bounds
 * that. */
bool logs_quota_allows(struct logs *logs, struct log *log, bool grows, unsigned *wait_s);
void logs_quota_take(struct logs *logs, struct log *log, bool grew);

#endif
