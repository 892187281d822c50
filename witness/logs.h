/*
 * The logs that a witness knows: DIR/logs in memory, and with each log what the witness last said about it.
 */
#ifndef STELE_WITNESS_LOGS_H
#define STELE_WITNESS_LOGS_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/logsfile.h"
#include "lib/sys/signer.h"

/* How a request to add-checkpoint ended, for the metrics. */
enum outcome {
    OUTCOME_COSIGNED,    /* 200 */
    OUTCOME_OLD_ABOVE,   /* 400: the old size exceeds the checkpoint's */
    OUTCOME_NOT_SIGNED,  /* 403 */
    OUTCOME_CONFLICT,    /* 409 */
    OUTCOME_UNPROVEN,    /* 422 */
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
    /* Under logs->notes_lock: */
    struct buf note; /* the newest checkpoint, with the log's verified lines and our cosignature; empty where there is none */
    uint64_t size, time_s;
    bool dirty; /* not in DIR/checkpoints yet */
};

struct logs {
    const char *dir;
    struct signer *signer;
    pthread_rwlock_t lock; /* over the rest of this block; held while a log's keys are used */
    struct log **items;    /* by origin */
    size_t n;
    struct vkey *keys;
    struct buf text; /* what the keys' names borrow from */
    pthread_mutex_t notes_lock;
    pthread_cond_t notes_changed;
    bool notes_dirty; /* under notes_lock: some log's is */
};

void logs_init(struct logs *logs, const char *dir, struct signer *signer);
void logs_free(struct logs *logs);

/* Reads DIR/logs anew; on an error what was known stays. A log that is new gets its note of DIR/checkpoints, where that holds
 * and agrees with the signer's head. */
enum err logs_load(struct logs *logs, struct why *why);

/* With logs->lock held for reading: the log of this origin or hash, NULL where it is not known. */
struct log *logs_find(const struct logs *logs, struct span origin);
struct log *logs_find_hex(const struct logs *logs, struct span hex);

/* Checks a whole logs file. ERR_MALFORMED. On OK the lines, ordered by origin, are the caller's to free. */
enum err logs_parse(struct span text, const char *file, struct logsfile_line **lines, size_t *n, struct why *why);

#endif
