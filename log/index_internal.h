/*
 * What log/index.c and log/index_view.c share.
 */
#ifndef STELE_LOG_INDEX_INTERNAL_H
#define STELE_LOG_INDEX_INTERNAL_H

#include <pthread.h>

#include "log/index.h"
#include "log/index_memory.h"

enum { MEMORY_RUNS_MAX = 64 };

struct index {
    struct index_config config;
    struct kv *kv;
    pthread_t thread;
    bool running;
    /* The thread's alone: */
    struct index_merge merge;
    uint64_t next_id;
    bool crowded; /* so many runs that merging comes first */

    pthread_mutex_t lock;                       /* for all that follows */
    pthread_cond_t due;                         /* there is something to write out */
    pthread_cond_t changed;                     /* there is room, or the thread failed */
    struct memory_run *memory[MEMORY_RUNS_MAX]; /* in the order of their entries */
    size_t memory_n, pinned;                    /* the first of them are being written out */
    uint64_t stored, next;                      /* entries: those below are stored, those below were added */
    bool look_for_merge, stopping, failed;
    struct why why_failed;
};

#endif
