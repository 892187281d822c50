#include "client/gate_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/gate.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"

enum state { EMPTY, OFFERED, FETCHING, READY };

struct slot {
    enum state state;
    char hash_part[HASH_PART_LEN + 1];
    struct hash nar_hash;
    size_t size;
    uint64_t number;   /* of its offer */
    uint64_t until_ms; /* monotonic */
    struct buf whole;  /* of a READY one */
};

struct gate_ahead {
    struct gate *gate;
    pthread_t threads[GATE_AHEAD_THREADS];
    size_t threads_n;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work;  /* there may be something to fetch or to drop */
    pthread_cond_t done;  /* something was fetched */
    struct slot slots[GATE_AHEAD_MAX];
    size_t used_n; /* all behind are EMPTY */
    size_t offered_n;
    uint64_t offers;          /* ever */
    size_t bytes;             /* of what is FETCHING or READY */
    uint64_t wanted_until_ms; /* Nix fetches */
    bool stopping;
};

static void clear(struct gate_ahead *ahead, struct slot *slot)
{
    ahead->offered_n -= slot->state == OFFERED;
    if (slot->state == FETCHING || slot->state == READY)
        ahead->bytes -= slot->size;
    buf_free(&slot->whole);
    *slot = (struct slot){ .state = EMPTY };
    while (ahead->used_n > 0 && ahead->slots[ahead->used_n - 1].state == EMPTY)
        ahead->used_n--;
}

/* What nobody came for goes; returns when the next one does. */
static uint64_t drop_old(struct gate_ahead *ahead)
{
    uint64_t now_ms = clock_monotonic_ms(), next_ms = UINT64_MAX;
    for (size_t i = 0; i < ahead->used_n; i++) {
        struct slot *slot = &ahead->slots[i];
        if (slot->state != OFFERED && slot->state != READY)
            continue;
        if (slot->until_ms <= now_ms)
            clear(ahead, slot);
        else if (slot->state == READY && slot->until_ms < next_ms)
            next_ms = slot->until_ms;
    }
    return next_ms;
}

/* The newest offer for which there is room. */
static struct slot *next_offer(struct gate_ahead *ahead)
{
    struct slot *newest = NULL;
    if (clock_monotonic_ms() >= ahead->wanted_until_ms)
        return NULL;
    for (size_t i = 0; i < ahead->used_n; i++) {
        struct slot *slot = &ahead->slots[i];
        if (slot->state == OFFERED && slot->size <= GATE_AHEAD_BYTES_MAX - ahead->bytes &&
            (newest == NULL || slot->number > newest->number))
            newest = slot;
    }
    return newest;
}

static void wait_for_work(struct gate_ahead *ahead, uint64_t until_ms)
{
    if (until_ms == UINT64_MAX)
        pthread_cond_wait(&ahead->work, &ahead->lock);
    else
        cond_wait_until(&ahead->work, &ahead->lock, until_ms);
}

/* With the lock held before and after. */
static void fetch(struct gate_ahead *ahead, struct slot *slot)
{
    struct gate_path path = { 0 };
    struct hash nar_hash = slot->nar_hash;
    struct buf whole = BUF_EMPTY;
    struct why why;
    slot->state = FETCHING;
    ahead->bytes += slot->size;
    if (--ahead->offered_n > 0)
        pthread_cond_signal(&ahead->work); /* each wakes the next: there is never more of them at it than there is to do */
    pthread_mutex_unlock(&ahead->lock);
    bool fetched = gate_remembers(ahead->gate, span_str(slot->hash_part), &nar_hash, &path) &&
                   gate_fetch_nar(ahead->gate, &path, &whole, &why) == OK;
    pthread_mutex_lock(&ahead->lock);
    if (fetched) {
        slot->state = READY;
        slot->whole = whole;
        slot->until_ms = clock_monotonic_ms() + GATE_VERDICT_S * 1000;
    } else {
        clear(ahead, slot);
    }
    pthread_cond_broadcast(&ahead->done);
}

static void *read_ahead(void *ctx)
{
    struct gate_ahead *ahead = ctx;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->stopping) {
        uint64_t next_ms = drop_old(ahead);
        struct slot *slot = next_offer(ahead);
        if (slot != NULL)
            fetch(ahead, slot);
        else
            wait_for_work(ahead, next_ms);
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

static struct slot *find(struct gate_ahead *ahead, const struct gate_path *path)
{
    for (size_t i = 0; i < ahead->used_n; i++) {
        struct slot *slot = &ahead->slots[i];
        if (slot->state != EMPTY && hash_eq(&slot->nar_hash, &path->nar_hash) && strcmp(slot->hash_part, path->hash_part) == 0)
            return slot;
    }
    return NULL;
}

/* Where there is none free, the oldest offer has waited in vain. */
static struct slot *slot_for_offer(struct gate_ahead *ahead)
{
    struct slot *oldest = NULL;
    for (size_t i = 0; i < ahead->used_n; i++) {
        struct slot *slot = &ahead->slots[i];
        if (slot->state == EMPTY)
            return slot;
        if (slot->state == OFFERED && (oldest == NULL || slot->number < oldest->number))
            oldest = slot;
    }
    if (ahead->used_n < GATE_AHEAD_MAX)
        return &ahead->slots[ahead->used_n++];
    if (oldest == NULL)
        return NULL;
    clear(ahead, oldest);
    return slot_for_offer(ahead);
}

void gate_ahead_offer(struct gate_ahead *ahead, const struct gate_path *path)
{
    if (path->nar_size > GATE_WHOLE_BYTES_MAX)
        return;
    pthread_mutex_lock(&ahead->lock);
    struct slot *slot = find(ahead, path);
    if (slot != NULL && slot->state == OFFERED)
        clear(ahead, slot); /* made anew: from now on */
    else if (slot != NULL)
        goto out;
    slot = slot_for_offer(ahead);
    if (slot != NULL) {
        *slot = (struct slot){ .state = OFFERED,
                               .nar_hash = path->nar_hash,
                               .size = (size_t)path->nar_size,
                               .number = ++ahead->offers,
                               .until_ms = path->until_ms };
        memcpy(slot->hash_part, path->hash_part, sizeof slot->hash_part);
        ahead->offered_n++;
        if (clock_monotonic_ms() < ahead->wanted_until_ms)
            pthread_cond_signal(&ahead->work);
    }
out:
    pthread_mutex_unlock(&ahead->lock);
}

bool gate_ahead_take(struct gate_ahead *ahead, const struct gate_path *path, struct buf *whole)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->wanted_until_ms = clock_monotonic_ms() + GATE_AHEAD_FOR_MS;
    struct slot *slot = find(ahead, path);
    while (slot != NULL && slot->state == FETCHING) {
        pthread_cond_wait(&ahead->done, &ahead->lock);
        slot = find(ahead, path);
    }
    bool ready = slot != NULL && slot->state == READY;
    if (ready) {
        *whole = slot->whole;
        slot->whole = BUF_EMPTY;
    }
    if (slot != NULL)
        clear(ahead, slot);
    if (ahead->offered_n > 0)
        pthread_cond_signal(&ahead->work);
    pthread_mutex_unlock(&ahead->lock);
    return ready;
}

static enum err start_threads(struct gate_ahead *ahead, struct why *why)
{
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->done, NULL);
    cond_init(&ahead->work);
    while (ahead->threads_n < GATE_AHEAD_THREADS && pthread_create(&ahead->threads[ahead->threads_n], NULL, read_ahead, ahead) == 0)
        ahead->threads_n++;
    return ahead->threads_n == GATE_AHEAD_THREADS ? OK : fail(why, ERR_ENV, "no thread can be started");
}

enum err gate_ahead_start(struct gate_ahead **out, struct gate *gate, struct why *why)
{
    struct gate_ahead *ahead = calloc(1, sizeof *ahead);
    if (ahead == NULL)
        return fail(why, ERR_ENV, "out of memory");
    ahead->gate = gate;
    enum err err = start_threads(ahead, why);
    if (err == OK)
        *out = ahead;
    else
        gate_ahead_stop(ahead);
    return err;
}

void gate_ahead_stop(struct gate_ahead *ahead)
{
    if (ahead == NULL)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->stopping = true;
    pthread_cond_broadcast(&ahead->work);
    pthread_mutex_unlock(&ahead->lock);
    while (ahead->threads_n > 0)
        pthread_join(ahead->threads[--ahead->threads_n], NULL);
    while (ahead->used_n > 0)
        clear(ahead, &ahead->slots[ahead->used_n - 1]);
    pthread_cond_destroy(&ahead->work);
    pthread_cond_destroy(&ahead->done);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
