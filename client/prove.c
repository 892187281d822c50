#include "client/prove.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/memory.h"

enum {
    BLOCK_PROOFS = 16,
    THREADS_MAX = 16,
    FULL_BYTES = 2 * BUNDLES_BYTES_MAX, /* not taken yet */
    HEADS_KEPT_MAX = 256,               /* of each thread: what it looks through for each proof */
};

enum state { WAITING, VERIFYING, VERIFIED };

/* A run of proofs that one thread verifies together. */
struct block {
    struct block *next;
    enum state state;
    struct buf bundles, asked;
    char *source;
    struct evidence evidence;
    struct evidence_head **heads; /* those that its thread met in it for the first time */
    size_t heads_n;
    struct evidence_heads old_heads; /* that its thread keeps no longer: items of this block and of earlier ones rest on them */
    enum err err;
    struct why why;
};

/* An attestation that was proven: nothing of it needs verifying again. */
struct place {
    uint64_t index;
    uint32_t log; /* number plus 1; 0: none */
};

struct worker {
    struct prover *prover;
    struct evidence_heads heads;
    pthread_t id;
};

struct prover {
    struct prove prove;
    bool forked[POLICY_LOGS_MAX];
    struct worker workers[THREADS_MAX]; /* the first is the caller's, where there are no others */
    unsigned started;
    bool stopping;
    size_t bytes;
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t put, verified;
    void (*notify)(void *ctx);
    void *notify_ctx;
    struct block *first, *last, *waiting; /* in the order of prover_put; the first that no thread has taken */
    struct place *places;                 /* a hash table */
    size_t places_n, places_cap;
};

static struct place *place_of(struct place *places, size_t cap, struct place place)
{
    size_t at = (size_t)((place.index ^ (uint64_t)place.log << 48) * UINT64_C(0x9e3779b97f4a7c15) >> 16) & (cap - 1);
    while (places[at].log != 0 && (places[at].log != place.log || places[at].index != place.index))
        at = (at + 1) & (cap - 1);
    return &places[at];
}

/* Which log's, and where: log 0 where the policy has no such log. */
static struct place outline_place(const struct prover *prover, const struct proof_outline *outline)
{
    const struct policy *policy = prover->prove.policy;
    struct span rest = outline->checkpoint, origin = { 0 };
    span_line(&rest, &origin);
    for (size_t i = 0; i < policy->logs_n; i++)
        if (span_eq(policy->logs[i].key.name, origin))
            return (struct place){ outline->index, (uint32_t)i + 1 };
    return (struct place){ 0 };
}

static bool is_known(struct prover *prover, struct place place)
{
    pthread_mutex_lock(&prover->lock);
    bool known = place.log != 0 && prover->places_cap > 0 && place_of(prover->places, prover->places_cap, place)->log != 0;
    pthread_mutex_unlock(&prover->lock);
    return known;
}

/* Where memory is short nothing is noted: it is verified again. */
static void note_proven(struct prover *prover, struct place place)
{
    pthread_mutex_lock(&prover->lock);
    if (2 * prover->places_n >= prover->places_cap) {
        size_t cap = prover->places_cap == 0 ? 1024 : 2 * prover->places_cap;
        struct place *places = calloc(cap, sizeof *places);
        for (size_t i = 0; places != NULL && i < prover->places_cap; i++)
            if (prover->places[i].log != 0)
                *place_of(places, cap, prover->places[i]) = prover->places[i];
        if (places != NULL) {
            free(prover->places);
            prover->places = places;
            prover->places_cap = cap;
        }
    }
    if (2 * prover->places_n < prover->places_cap) {
        *place_of(prover->places, prover->places_cap, place) = place;
        prover->places_n++;
    }
    pthread_mutex_unlock(&prover->lock);
}

/* Which heads has the thread met since there were `before`? */
static enum err note_heads(struct block *block, const struct evidence_heads *heads, size_t before, struct why *why)
{
    block->heads_n = heads->n - before;
    block->heads = calloc(block->heads_n + 1, sizeof *block->heads);
    if (block->heads == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < block->heads_n; i++)
        block->heads[i] = heads->items[before + i];
    return OK;
}

/* Each proof by itself: one that does not parse takes no other with it. */
static void verify(struct worker *worker, struct block *block)
{
    struct prover *prover = worker->prover;
    struct span rest = span_buf(&block->bundles);
    size_t heads_before = worker->heads.n;
    block->evidence.heads = &worker->heads;
    block->evidence.lean = !prover->prove.texts;
    while (rest.len > 0 && block->err == OK) {
        struct proof_outline outline;
        struct place place = { 0 };
        if (proof_outline_next(&outline, &rest)) {
            place = outline_place(prover, &outline);
        } else {
            outline.text = rest;
            rest = span_of(NULL, 0);
        }
        /* Under another head it is verified again, so that a head never goes unseen: it may be another history's. */
        if (is_known(prover, place) && evidence_heads_have(&worker->heads, outline.checkpoint))
            continue;
        size_t before = block->evidence.n;
        block->err = evidence_add_one(&block->evidence, &outline.text, block->source, prover->prove.policy, NULL, &block->why);
        if (place.log != 0 && block->evidence.n > before && block->evidence.items[before]->proven)
            note_proven(prover, place);
    }
    if (block->err == OK)
        block->err = note_heads(block, &worker->heads, heads_before, &block->why);
    if (worker->heads.n > HEADS_KEPT_MAX) {
        block->old_heads = worker->heads;
        worker->heads = (struct evidence_heads){ 0 };
    }
}

/* The next block that nobody has; with the lock held. */
static struct block *take_waiting(struct prover *prover)
{
    struct block *block = prover->waiting;
    if (block != NULL) {
        block->state = VERIFYING;
        prover->waiting = block->next;
    }
    return block;
}

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct prover *prover = worker->prover;
    pthread_mutex_lock(&prover->lock);
    while (!prover->stopping) {
        struct block *block = take_waiting(prover);
        if (block == NULL) {
            pthread_cond_wait(&prover->put, &prover->lock);
            continue;
        }
        pthread_mutex_unlock(&prover->lock);
        verify(worker, block);
        pthread_mutex_lock(&prover->lock);
        block->state = VERIFIED;
        if (block == prover->first) {
            pthread_cond_signal(&prover->verified);
            if (prover->notify != NULL)
                prover->notify(prover->notify_ctx);
        }
    }
    pthread_mutex_unlock(&prover->lock);
    return NULL;
}

enum err prover_new(struct prover **out, const struct prove *prove, struct why *why)
{
    struct prover *prover = calloc(1, sizeof *prover);
    *out = prover;
    if (prover == NULL)
        return fail(why, ERR_ENV, "out of memory");
    prover->prove = *prove;
    for (unsigned i = 0; i < THREADS_MAX; i++)
        prover->workers[i].prover = prover;
    pthread_mutex_init(&prover->lock, NULL);
    pthread_cond_init(&prover->put, NULL);
    pthread_cond_init(&prover->verified, NULL);
    return OK;
}

static void free_block(struct block *block)
{
    evidence_free(&block->evidence);
    evidence_heads_free(&block->old_heads);
    free(block->heads);
    buf_free(&block->bundles);
    buf_free(&block->asked);
    free(block->source);
    free(block);
}

void prover_free(struct prover *prover)
{
    if (prover == NULL)
        return;
    pthread_mutex_lock(&prover->lock);
    prover->stopping = true;
    pthread_cond_broadcast(&prover->put);
    pthread_mutex_unlock(&prover->lock);
    for (unsigned i = 0; i < prover->started; i++)
        pthread_join(prover->workers[i].id, NULL);
    while (prover->first != NULL) {
        struct block *next = prover->first->next;
        free_block(prover->first);
        prover->first = next;
    }
    for (unsigned i = 0; i < THREADS_MAX; i++)
        evidence_heads_free(&prover->workers[i].heads);
    pthread_cond_destroy(&prover->put);
    pthread_cond_destroy(&prover->verified);
    pthread_mutex_destroy(&prover->lock);
    free(prover->places);
    free(prover);
}

/* Threads from the first bundles on. Where none starts, the caller verifies. */
static void start_threads(struct prover *prover)
{
    unsigned wanted = prover->prove.threads < THREADS_MAX ? prover->prove.threads : THREADS_MAX;
    while (wanted > 1 && prover->started < wanted) {
        struct worker *worker = &prover->workers[prover->started];
        if (pthread_create(&worker->id, NULL, work, worker) != 0)
            return;
        prover->started++;
    }
}

static enum err put_block(struct prover *prover, struct span asked, struct span bundles, const char *source, struct why *why)
{
    struct block *block = calloc(1, sizeof *block);
    if (block == NULL || (block->source = span_dup_str(span_str(source))) == NULL) {
        free(block);
        return fail(why, ERR_ENV, "out of memory");
    }
    buf_span(&block->bundles, bundles);
    buf_span(&block->asked, asked);
    enum err err = buf_done(&block->bundles, why);
    if (err == OK)
        err = buf_done(&block->asked, why);
    if (err != OK) {
        free_block(block);
        return err;
    }
    prover->bytes += bundles.len;
    pthread_mutex_lock(&prover->lock);
    if (prover->first == NULL)
        prover->first = block;
    else
        prover->last->next = block;
    prover->last = block;
    if (prover->waiting == NULL)
        prover->waiting = block;
    pthread_cond_signal(&prover->put);
    pthread_mutex_unlock(&prover->lock);
    return OK;
}

enum err prover_put(struct prover *prover, struct span asked, struct span bundles, const char *source, struct why *why)
{
    enum err err = OK;
    if (bundles.len > 0)
        start_threads(prover);
    while (bundles.len > 0 && err == OK) {
        struct span run = bundles;
        struct proof_outline outline;
        size_t n = 0;
        while (n < BLOCK_PROOFS && bundles.len > 0 && proof_outline_next(&outline, &bundles))
            n++;
        if (n < BLOCK_PROOFS)
            bundles = span_of(NULL, 0); /* what is left has no outline, and is one proof that says so */
        run.len -= bundles.len;
        err = put_block(prover, span_of(NULL, 0), run, source, why);
    }
    return err == OK && asked.len > 0 ? put_block(prover, asked, span_of(NULL, 0), "", why) : err;
}

/* Shown to the memory, a head may tell that its log forked: from then on nothing under that log counts. */
static void show_head(struct prover *prover, struct evidence_head *head)
{
    struct evidence_head copy = *head, *one[] = { &copy };
    struct evidence_heads heads = { one, 1 };
    if (prover->prove.head != NULL)
        prover->prove.head(prover->prove.ctx, head);
    if (prover->prove.config == NULL)
        return;
    memory_show(prover->prove.config, &heads, NULL);
    if (head->proven && !copy.proven)
        prover->forked[head->view.log] = true;
}

static enum err take_item(struct prover *prover, struct evidence_item *item, struct why *why)
{
    if (item->proven && prover->forked[item->head->view.log]) {
        item->proven = false;
        memory_refuse_forked(span_str(item->origin), &item->why_not);
    }
    return prover->prove.take(prover->prove.ctx, item, why);
}

static enum err take_block(struct prover *prover, struct block *block, struct why *why)
{
    enum err err = block->err == OK ? OK : fail(why, block->err, "%s", block->why.text);
    for (size_t i = 0; i < block->heads_n && err == OK; i++)
        show_head(prover, block->heads[i]);
    for (size_t i = 0; i < block->evidence.n && err == OK; i++)
        err = take_item(prover, block->evidence.items[i], why);
    if (err == OK && block->asked.len > 0 && prover->prove.answered != NULL)
        err = prover->prove.answered(prover->prove.ctx, span_buf(&block->asked), why);
    prover->bytes -= block->bundles.len;
    free_block(block);
    return err;
}

/* The first block, once it is verified; NULL where there is none, or none yet. */
static struct block *take_first(struct prover *prover, bool wait)
{
    pthread_mutex_lock(&prover->lock);
    struct block *block = prover->first;
    if (block != NULL && prover->started == 0) {
        take_waiting(prover);
        pthread_mutex_unlock(&prover->lock);
        verify(&prover->workers[0], block);
        pthread_mutex_lock(&prover->lock);
        block->state = VERIFIED;
    }
    while (block != NULL && block->state != VERIFIED && wait)
        pthread_cond_wait(&prover->verified, &prover->lock);
    if (block != NULL && block->state != VERIFIED)
        block = NULL;
    if (block != NULL)
        prover->first = block->next;
    pthread_mutex_unlock(&prover->lock);
    return block;
}

enum err prover_take(struct prover *prover, bool wait, struct why *why)
{
    struct block *block;
    enum err err = OK;
    for (; err == OK && (block = take_first(prover, wait)) != NULL; wait = false)
        err = take_block(prover, block, why);
    return err;
}

void prover_notify(struct prover *prover, void (*verified)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&prover->lock);
    prover->notify = verified;
    prover->notify_ctx = ctx;
    pthread_mutex_unlock(&prover->lock);
}

bool prover_busy(const struct prover *prover)
{
    return prover->first != NULL; /* which no other thread changes */
}

bool prover_full(const struct prover *prover)
{
    return prover->bytes >= FULL_BYTES;
}

bool prover_forked(const struct prover *prover, size_t log)
{
    return prover->forked[log];
}

unsigned prove_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}
