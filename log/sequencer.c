/*
 * The sequencer: takes everything that is queued, gives every entry its index in one durable commit, and goes on. There is no
 * timer: an idle log commits at once, a busy one batches by itself while the disk works. Only what the verifiers have in hand
 * is waited for, for a moment, and whoever else has work goes first: a commit costs the same for one as for many.
 */
#include <sched.h>
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/file.h"
#include "log/limits.h"
#include "log/pipeline.h"

struct batch {
    struct submission *items[BATCH_SUBMISSIONS_MAX];
    struct store_part parts[BATCH_SUBMISSIONS_MAX];
    size_t n, bytes;
};

/* With the lock held. What the verifiers have in hand is waited for; then the processor goes to whoever else has work, as long as
 * that brings more. On a busy machine those are the HTTP threads and the clients; on an idle one it is nobody, and over at once. */
static void wait_for_more(struct pipeline *pipeline)
{
    uint64_t until_ms = clock_monotonic_ms() + BATCH_WAIT_MS;
    unsigned in_vain = 0;
    while (!pipeline->stopping && pipeline->queue_bytes < BATCH_WAIT_BYTES && in_vain < BATCH_GIVES_WAY) {
        size_t queued = pipeline->queue.n;
        if (workers_busy(pipeline->verifiers) > 0) {
            if (!cond_wait_until(&pipeline->queued, &pipeline->lock, until_ms))
                return;
            continue;
        }
        pthread_mutex_unlock(&pipeline->lock);
        sched_yield();
        pthread_mutex_lock(&pipeline->lock);
        in_vain = pipeline->queue.n > queued ? 0 : in_vain + 1;
        if (clock_monotonic_ms() >= until_ms)
            return;
    }
}

/* Waits for work; false where the log stops. */
static bool take_batch(struct pipeline *pipeline, struct batch *batch)
{
    batch->n = batch->bytes = 0;
    pthread_mutex_lock(&pipeline->lock);
    while (pipeline->queue.n == 0 && !pipeline->stopping)
        pthread_cond_wait(&pipeline->queued, &pipeline->lock);
    wait_for_more(pipeline);
    bool stopping = pipeline->stopping;
    while (!stopping && batch->n < BATCH_SUBMISSIONS_MAX && batch->bytes < BATCH_BYTES_MAX && pipeline->queue.n > 0) {
        struct submission *submission = submission_list_take(&pipeline->queue);
        pipeline->queue_bytes -= submission->bytes;
        batch->bytes += submission->bytes;
        batch->items[batch->n++] = submission;
    }
    pthread_mutex_unlock(&pipeline->lock);
    return !stopping;
}

/* Why nothing new may be committed now; false where all is well. What waits for a quorum that does not come must not pile up, and
 * the data must not grow until the disk is full. */
static bool stalled(struct pipeline *pipeline, const struct batch *batch, struct why *why)
{
    if (pipeline->frozen != NULL) {
        fail(why, ERR_REFUSED, "%s", pipeline->frozen);
        return true;
    }
    pthread_mutex_lock(&pipeline->lock);
    uint64_t behind_since_ms = pipeline->behind_since_ms, ahead = pipeline->committed - pipeline->signed_size;
    bool compared = pipeline->compared;
    pthread_mutex_unlock(&pipeline->lock);
    if (!compared) {
        fail(why, ERR_ENV, "no quorum of witnesses has said yet which head of this log it has: nothing new is taken before");
        return true;
    }
    if (behind_since_ms > 0 && clock_monotonic_ms() - behind_since_ms > pipeline_patience_ms(pipeline)) {
        fail(why, ERR_ENV, "the log's head has no quorum of witnesses at the moment: nothing new is taken until it has");
        return true;
    }
    if (ahead > GROWTH_MAX / 2) {
        fail(why, ERR_ENV, "%llu entries wait for a signed head", (unsigned long long)ahead);
        return true;
    }
    uint64_t free_bytes;
    if (disk_free(pipeline->config->dir, &free_bytes, why) != OK)
        return true;
    struct store_metrics store;
    store_metrics(pipeline->store, &store);
    /* A merge of indices stands beside what it merges until it is done. Who wants no floor has no such reserve either. */
    uint64_t reserve = pipeline->config->free_space_floor_bytes;
    reserve += reserve == 0 ? 0 : store.index_bytes + store.seen_bytes;
    /* Tiles, indices and copied pages come on top of the entries: four times is ample. */
    if (free_bytes >= reserve + 4 * (uint64_t)batch->bytes)
        return false;
    fail(why, ERR_ENV, "the log is short of disk space");
    return true;
}

static enum err all_known(struct pipeline *pipeline, const struct submission *submission, bool *known, struct why *why)
{
    enum err err = OK;
    *known = true;
    for (size_t i = 0; i < submission->part.n && *known && err == OK; i++) {
        uint64_t index;
        err = store_find(pipeline->store, &submission->part.entries[i].leaf, known, &index, why);
        if (pipeline->frozen != NULL && *known)
            *known = index < pipeline->signed_size; /* what was not published when it was frozen never will be */
    }
    return err;
}

/* Keeps what is in the log already, which waits as before, and refuses the rest. */
static void keep_known(struct pipeline *pipeline, struct batch *batch, const struct why *reason)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->n; i++) {
        bool known;
        struct why why;
        if (all_known(pipeline, batch->items[i], &known, &why) == OK && known)
            batch->items[kept++] = batch->items[i];
        else if (pipeline->frozen != NULL)
            submission_refuse_for_good(batch->items[i], reason->text);
        else
            submission_refuse(batch->items[i], reason->text);
    }
    batch->n = kept;
}

/* To the answers where the published head covers it, to those that wait for one otherwise. */
static void hand_on(struct pipeline *pipeline, struct batch *batch, uint64_t size)
{
    for (size_t i = 0; i < batch->n; i++)
        for (size_t j = 0; j < batch->items[i]->part.n; j++)
            if (batch->items[i]->part.entries[j].index >= batch->items[i]->covers)
                batch->items[i]->covers = batch->items[i]->part.entries[j].index + 1;
    pthread_mutex_lock(&pipeline->lock);
    bool failed = pipeline->failed;
    if (pipeline->frozen == NULL)
        pipeline->committed = size;
    if (pipeline->committed > pipeline->published_size && pipeline->behind_since_ms == 0)
        pipeline->behind_since_ms = clock_monotonic_ms();
    for (size_t i = 0; i < batch->n && !failed; i++) {
        bool shown = batch->items[i]->covers <= pipeline->published_size;
        submission_list_add(shown ? &pipeline->answers : &pipeline->waiting, batch->items[i]);
    }
    pthread_cond_signal(&pipeline->answerable);
    pthread_mutex_unlock(&pipeline->lock);
    for (size_t i = 0; i < batch->n && failed; i++)
        submission_refuse(batch->items[i], "the log met a storage error");
}

static void count_begin(struct pipeline *pipeline, const struct batch *batch, uint64_t now_us)
{
    atomic_fetch_add(&pipeline->counts.batches, 1);
    for (size_t i = 0; i < batch->n; i++)
        histogram_add(&pipeline->counts.queued, now_us - batch->items[i]->taken_us);
}

static void commit(struct pipeline *pipeline, struct batch *batch)
{
    struct why why;
    uint64_t size, before = store_size(pipeline->store), began_us = clock_monotonic_us();
    if (stalled(pipeline, batch, &why))
        keep_known(pipeline, batch, &why);
    if (batch->n == 0)
        return;
    for (size_t i = 0; i < batch->n; i++)
        batch->parts[i] = batch->items[i]->part;
    count_begin(pipeline, batch, began_us);
    if (store_append(pipeline->store, batch->parts, batch->n, &size, &why) == OK) {
        atomic_fetch_add(&pipeline->counts.entries, size - before);
        histogram_add(&pipeline->counts.commit, clock_monotonic_us() - began_us);
        hand_on(pipeline, batch, size);
        witnesses_wake(pipeline->witnesses);
        return;
    }
    /* Committed or not: whoever asks again after the restart gets the one index that the entry then has. */
    pipeline_fail(pipeline, "commit", &why);
    for (size_t i = 0; i < batch->n; i++)
        submission_refuse(batch->items[i], "the log met a storage error");
}

void *sequencer_run(void *ctx)
{
    struct pipeline *pipeline = ctx;
    struct batch *batch = malloc(sizeof *batch);
    if (batch == NULL) {
        pipeline_fail(pipeline, "sequencer", &(struct why){ "out of memory" });
        return NULL;
    }
    while (take_batch(pipeline, batch))
        commit(pipeline, batch);
    free(batch);
    return NULL;
}
