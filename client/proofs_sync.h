/*
 * One sync for the proofs of many threads: while one is under way, whoever comes waits for the next one, which is for all of them.
 */
#ifndef STELE_CLIENT_PROOFS_SYNC_H
#define STELE_CLIENT_PROOFS_SYNC_H

#include <pthread.h>

#include "client/config.h"

struct proofs_sync {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t ended_one;
    char *dir;
    int fd; /* of `dir`, from before the first write: the system tells it of every write that fails afterwards */
    bool busy;
    uint64_t begun, ended;
    enum err err; /* of the first one that failed: nothing after it is known to be durable */
    struct why why;
};

/* After proofs_make, before anything is put. ERR_ENV. Free with proofs_sync_end, whatever came of it. */
enum err proofs_sync_start(struct proofs_sync *sync, const struct client_config *config, struct why *why);
/* All that this thread put by proofs_put is durable, with its names. ERR_ENV, then and for ever, where a sync failed. */
enum err proofs_sync(struct proofs_sync *sync, struct why *why);
void proofs_sync_end(struct proofs_sync *sync);

#endif
