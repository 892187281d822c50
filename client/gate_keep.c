#include "client/gate_keep.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/proofs.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/report.h"

enum {
    WAITING_BYTES_MAX = 64 << 20,
    QUIET_MS = 500,       /* the disk is left to Nix while it substitutes, */
    DELAY_MS_MAX = 60000, /* but not for longer */
};

struct job {
    struct job *next;
    char hash_part[HASH_PART_LEN];
    size_t len;
    char proofs[];
};

struct gate_keeper {
    const struct client_config *config;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct job *first, **last;
    size_t bytes;
    uint64_t first_ms, last_ms; /* when the first and the last of these came */
    bool full, stopping;
};

static void keep(const struct client_config *config, const struct job *job)
{
    struct span rest = span_of(job->proofs, job->len);
    struct why why = { "" };
    enum err err = OK;
    while (rest.len > 0 && err == OK) {
        struct proof proof;
        err = proof_next(&proof, &rest, &why);
        if (err == OK)
            err = proofs_keep(config, span_of(job->hash_part, HASH_PART_LEN), &proof, false, &why);
    }
    if (err != OK)
        report_why(REPORT_WARN, "proof-not-kept", &why);
}

/* Until there is something, and Nix is done for the moment. */
static void wait_for_quiet(struct gate_keeper *keeper)
{
    while (keeper->first == NULL && !keeper->stopping)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    while (!keeper->stopping && keeper->bytes < WAITING_BYTES_MAX / 2) {
        uint64_t now_ms = clock_monotonic_ms(), until_ms = keeper->last_ms + QUIET_MS;
        if (until_ms > keeper->first_ms + DELAY_MS_MAX)
            until_ms = keeper->first_ms + DELAY_MS_MAX;
        if (now_ms >= until_ms)
            break;
        cond_wait_until(&keeper->changed, &keeper->lock, until_ms);
    }
}

static void *keep_all(void *ctx)
{
    struct gate_keeper *keeper = ctx;
    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        wait_for_quiet(keeper);
        struct job *job = keeper->first;
        if (job == NULL)
            break;
        if ((keeper->first = job->next) == NULL)
            keeper->last = &keeper->first;
        keeper->bytes -= job->len;
        pthread_mutex_unlock(&keeper->lock);
        keep(keeper->config, job);
        free(job);
        pthread_mutex_lock(&keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

enum err gate_keeper_start(struct gate_keeper **out, const struct client_config *config, struct why *why)
{
    struct gate_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return fail(why, ERR_ENV, "out of memory");
    keeper->config = config;
    keeper->last = &keeper->first;
    pthread_mutex_init(&keeper->lock, NULL);
    cond_init(&keeper->changed);
    if (pthread_create(&keeper->thread, NULL, keep_all, keeper) != 0) {
        free(keeper);
        return fail(why, ERR_ENV, "no thread can be started");
    }
    *out = keeper;
    return OK;
}

void gate_keeper_stop(struct gate_keeper *keeper)
{
    if (keeper == NULL)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

void gate_keep(struct gate_keeper *keeper, struct span hash_part, struct span proofs)
{
    struct job *job = proofs.len == 0 ? NULL : malloc(sizeof *job + proofs.len);
    if (job == NULL)
        return;
    *job = (struct job){ .len = proofs.len };
    memcpy(job->hash_part, hash_part.data, HASH_PART_LEN);
    memcpy(job->proofs, proofs.data, proofs.len);
    pthread_mutex_lock(&keeper->lock);
    bool room = keeper->bytes + job->len <= WAITING_BYTES_MAX, tell = !room && !keeper->full;
    keeper->full = !room;
    if (room) {
        keeper->last_ms = clock_monotonic_ms();
        /* In between the thread looks by itself: woken for each, it would take the processor from what serves Nix. */
        bool wake = keeper->first == NULL || keeper->bytes + job->len >= WAITING_BYTES_MAX / 2;
        if (keeper->first == NULL)
            keeper->first_ms = keeper->last_ms;
        *keeper->last = job;
        keeper->last = &job->next;
        keeper->bytes += job->len;
        if (wake)
            pthread_cond_signal(&keeper->changed);
    }
    pthread_mutex_unlock(&keeper->lock);
    if (tell)
        report(REPORT_WARN, "proof-not-kept", "why=\"the disk is too slow: too many proofs wait to be written\"");
    if (!room)
        free(job);
}
