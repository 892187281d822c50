#include "client/prove.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/memory.h"

enum { BLOCK_PROOFS = 64, THREADS_MAX = 16 };

/* A run of proofs that one thread verifies together. */
struct block {
    struct span bundles;
    struct evidence evidence;
    enum err err;
    struct why why;
};

struct work {
    const struct prove *prove;
    struct block *blocks;
    size_t n, next;
    pthread_mutex_t lock;
};

struct worker {
    struct work *work;
    struct evidence_heads heads;
    pthread_t id;
};

static void *verify_blocks(void *ctx)
{
    struct worker *worker = ctx;
    struct work *work = worker->work;
    for (;;) {
        pthread_mutex_lock(&work->lock);
        size_t at = work->next++;
        pthread_mutex_unlock(&work->lock);
        if (at >= work->n)
            return NULL;
        struct block *block = &work->blocks[at];
        block->evidence.heads = &worker->heads;
        block->err = evidence_add(&block->evidence, block->bundles, work->prove->source, work->prove->policy, NULL, &block->why);
    }
}

/* Cuts bundles into runs. What does not parse is a run of its own, that says so. */
static enum err cut(struct work *work, struct span bundles, struct why *why)
{
    const struct prove *prove = work->prove;
    struct span rest = bundles;
    size_t cap = 0, in_block = BLOCK_PROOFS;
    while (rest.len > 0) {
        struct span from = rest;
        struct proof proof;
        if (proof_next(&proof, &rest, NULL) != OK) {
            rest = span_of(NULL, 0);
        } else if (prove->known != NULL && prove->known(prove->ctx, &proof)) {
            in_block = BLOCK_PROOFS;
            continue;
        }
        if (in_block == BLOCK_PROOFS) {
            if (work->n == cap) {
                cap = 2 * cap + 16;
                struct block *blocks = realloc(work->blocks, cap * sizeof *blocks);
                if (blocks == NULL)
                    return fail(why, ERR_ENV, "out of memory");
                work->blocks = blocks;
            }
            work->blocks[work->n++] = (struct block){ .bundles = span_cut(from, 0, 0) };
            in_block = 0;
        }
        work->blocks[work->n - 1].bundles.len += from.len - rest.len;
        in_block++;
    }
    return OK;
}

enum err prove_bundles(const struct prove *prove, struct span bundles, struct why *why)
{
    struct work work = { .prove = prove, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct worker workers[THREADS_MAX] = { { .work = &work } };
    unsigned started = 0, threads = prove->threads < THREADS_MAX ? prove->threads : THREADS_MAX;
    enum err err = cut(&work, bundles, why);
    for (; err == OK && started + 1 < threads && started + 1 < work.n; started++) {
        workers[started + 1].work = &work;
        if (pthread_create(&workers[started + 1].id, NULL, verify_blocks, &workers[started + 1]) != 0)
            break;
    }
    if (err == OK)
        verify_blocks(&workers[0]);
    for (unsigned i = 1; i <= started; i++)
        pthread_join(workers[i].id, NULL);
    for (unsigned i = 0; i <= started && prove->config != NULL && err == OK; i++)
        memory_show(prove->config, &workers[i].heads, NULL);
    for (size_t b = 0; b < work.n; b++) {
        struct block *block = &work.blocks[b];
        if (err == OK && block->err != OK)
            err = fail(why, block->err, "%s", block->why.text);
        for (size_t i = 0; i < block->evidence.n && err == OK; i++)
            err = prove->take(prove->ctx, block->evidence.items[i], why);
        evidence_free(&block->evidence);
    }
    for (unsigned i = 0; i <= started; i++)
        evidence_heads_free(&workers[i].heads);
    free(work.blocks);
    return err;
}

unsigned prove_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}
