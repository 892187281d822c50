/*
 * Threads take bundle after bundle, hash its entries and compare the tile of their leaf hashes; the calling thread takes what they
 * found in the order of bundles and builds the levels above. A ring of slots bounds how far they run ahead.
 */
#include "log/audit.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/sys/cli.h"

enum { SLOTS = 64, THREADS_MAX = 16 };

struct slot {
    bool done;
    unsigned width;
    enum err err;
    struct why why;
    struct hash leaves[TILE_WIDTH];
    struct hash root; /* of a full bundle */
};

struct work {
    struct audit *audit;
    uint64_t bundles; /* in all */
    pthread_mutex_t lock;
    pthread_cond_t room, done;
    uint64_t next, consumed; /* bundles: to be taken next; those below are used up */
    bool stopping;
    unsigned running; /* threads; those that could not open a reader are none */
    struct why why_open;
    struct slot slots[SLOTS];
};

static struct hash full_root(struct hash hashes[TILE_WIDTH])
{
    for (size_t n = TILE_WIDTH; n > 1; n /= 2)
        for (size_t i = 0; i < n / 2; i++)
            hashes[i] = merkle_node_hash(&hashes[2 * i], &hashes[2 * i + 1]);
    return hashes[0];
}

static enum err check_tile(const struct audit_source *source, void *reader, unsigned level, uint64_t number, unsigned width,
                           const void *hashes, struct why *why)
{
    struct tile tile = { .level = (uint8_t)level, .index = number, .width = (uint16_t)width };
    struct span bytes;
    enum err err = source->tile(reader, &tile, &bytes, why);
    if (err == OK && (bytes.len != 32 * (size_t)width || memcmp(bytes.data, hashes, bytes.len) != 0))
        err = fail(why, ERR_REFUSED, "tile %llu of level %u is not what its entries give", (unsigned long long)number, level);
    return err;
}

static enum err check_bundle(const struct audit_source *source, void *reader, uint64_t number, struct slot *slot, struct why *why)
{
    struct span bundle, entries[TILE_WIDTH];
    enum err err = source->bundle(reader, number, slot->width, &bundle, why);
    if (err == OK && (err = bundle_parse(bundle, slot->width, entries, why)) != OK)
        return fail_in(why, err, "entry bundle %llu", (unsigned long long)number);
    for (unsigned i = 0; i < slot->width && err == OK; i++) {
        slot->leaves[i] = merkle_leaf_hash(entries[i]);
        if (source->entry != NULL)
            err = source->entry(reader, number * TILE_WIDTH + i, entries[i], why);
    }
    if (err == OK)
        err = check_tile(source, reader, 0, number, slot->width, slot->leaves, why);
    if (err == OK && slot->width == TILE_WIDTH)
        slot->root = full_root(slot->leaves);
    return err;
}

/* Takes the next bundle; false where there is no more to do. */
static bool take(struct work *work, uint64_t *number)
{
    pthread_mutex_lock(&work->lock);
    while (!work->stopping && work->next < work->bundles && work->next - work->consumed >= SLOTS)
        pthread_cond_wait(&work->room, &work->lock);
    bool more = !work->stopping && work->next < work->bundles;
    if (more)
        *number = work->next++;
    pthread_mutex_unlock(&work->lock);
    return more;
}

static void *run(void *ctx)
{
    struct work *work = ctx;
    const struct audit_source *source = work->audit->source;
    void *reader = NULL;
    struct why why;
    uint64_t number;
    if (source->open(source->ctx, &reader, &why) != OK) {
        pthread_mutex_lock(&work->lock);
        work->why_open = why;
        work->running--;
        pthread_cond_signal(&work->done);
        pthread_mutex_unlock(&work->lock);
        return NULL;
    }
    while (take(work, &number)) {
        struct slot *slot = &work->slots[number % SLOTS];
        slot->width = tile_width(0, number, work->audit->size);
        slot->err = check_bundle(source, reader, number, slot, &slot->why);
        pthread_mutex_lock(&work->lock);
        slot->done = true;
        pthread_cond_signal(&work->done);
        pthread_mutex_unlock(&work->lock);
    }
    source->close(reader);
    return NULL;
}

/* Adds the root of a full tile to the level above, and so on. */
static enum err add_root(struct audit *audit, void *reader, struct hash hash, struct why *why)
{
    for (unsigned level = 1; level < AUDIT_LEVELS; level++) {
        struct audit_level *own = &audit->levels[level];
        memcpy(own->hashes + 32 * (size_t)own->width++, hash.b, 32);
        if (own->width < TILE_WIDTH)
            return OK;
        enum err err = check_tile(audit->source, reader, level, own->number, own->width, own->hashes, why);
        if (err != OK)
            return err;
        struct hash hashes[TILE_WIDTH];
        memcpy(hashes, own->hashes, sizeof hashes);
        hash = full_root(hashes);
        *own = (struct audit_level){ .number = own->number + 1 };
    }
    return fail(why, ERR_REFUSED, "the tree has too many levels");
}

/* The next bundle, in order. */
static enum err consume(struct audit *audit, void *reader, const struct slot *slot, struct why *why)
{
    if (slot->err != OK) {
        *why = slot->why;
        return slot->err;
    }
    if (slot->width < TILE_WIDTH) {
        for (unsigned i = 0; i < slot->width; i++)
            frontier_append(&audit->frontier, &slot->leaves[i]);
        return OK;
    }
    /* A perfect subtree of 256 leaves, where everything before it is such: the same as a leaf of a tree of those. */
    audit->frontier.size /= TILE_WIDTH;
    frontier_append(&audit->frontier, &slot->root);
    audit->frontier.size *= TILE_WIDTH;
    return add_root(audit, reader, slot->root, why);
}

static enum err wait_for(struct work *work, struct slot *slot, struct why *why)
{
    pthread_mutex_lock(&work->lock);
    while (!slot->done && work->running > 0)
        pthread_cond_wait(&work->done, &work->lock);
    bool done = slot->done;
    pthread_mutex_unlock(&work->lock);
    if (done)
        return OK;
    *why = work->why_open;
    return ERR_ENV;
}

static enum err consume_all(struct work *work, void *reader, struct why *why)
{
    struct audit *audit = work->audit;
    enum err err = OK;
    while (err == OK && work->consumed < work->bundles) {
        struct slot *slot = &work->slots[work->consumed % SLOTS];
        err = wait_for(work, slot, why);
        if (err == OK)
            err = consume(audit, reader, slot, why);
        pthread_mutex_lock(&work->lock);
        slot->done = false;
        work->consumed++;
        pthread_cond_broadcast(&work->room);
        pthread_mutex_unlock(&work->lock);
        if (work->consumed % AUDIT_STEP_BUNDLES != 0 || err != OK)
            continue;
        cli_progress("checking entries", (size_t)audit->frontier.size, (size_t)audit->size);
        if (audit->step != NULL)
            err = audit->step(audit->ctx, &audit->frontier, why);
    }
    for (unsigned level = 1; level < AUDIT_LEVELS && err == OK; level++) {
        const struct audit_level *own = &audit->levels[level];
        if (own->width > 0)
            err = check_tile(audit->source, reader, level, own->number, own->width, own->hashes, why);
    }
    return err;
}

static enum err start_threads(struct work *work, pthread_t threads[THREADS_MAX], unsigned *n, struct why *why)
{
    unsigned want = work->audit->threads < 1 ? 1 : work->audit->threads > THREADS_MAX ? THREADS_MAX : work->audit->threads;
    work->running = want;
    for (*n = 0; *n < want; ++*n)
        if (pthread_create(&threads[*n], NULL, run, work) != 0)
            return fail(why, ERR_ENV, "cannot start a thread");
    return OK;
}

enum err audit_run(struct audit *audit, struct why *why)
{
    struct work *work = calloc(1, sizeof *work);
    pthread_t threads[THREADS_MAX];
    unsigned n = 0;
    void *reader = NULL;
    if (work == NULL)
        return fail(why, ERR_ENV, "out of memory");
    work->audit = audit;
    work->bundles = (audit->size + TILE_WIDTH - 1) / TILE_WIDTH;
    work->next = work->consumed = audit->frontier.size / TILE_WIDTH;
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->room, NULL);
    pthread_cond_init(&work->done, NULL);
    enum err err = audit->source->open(audit->source->ctx, &reader, why);
    if (err == OK)
        err = start_threads(work, threads, &n, why);
    if (err == OK)
        err = consume_all(work, reader, why);
    pthread_mutex_lock(&work->lock);
    work->stopping = true;
    pthread_cond_broadcast(&work->room);
    pthread_mutex_unlock(&work->lock);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    if (reader != NULL)
        audit->source->close(reader);
    cli_progress_end();
    pthread_cond_destroy(&work->room);
    pthread_cond_destroy(&work->done);
    pthread_mutex_destroy(&work->lock);
    free(work);
    return err;
}

static enum err load_level(struct audit *audit, void *reader, unsigned level, uint64_t size, struct why *why)
{
    struct audit_level *own = &audit->levels[level];
    uint64_t hashes = size >> (TILE_HEIGHT * level);
    *own = (struct audit_level){ .number = hashes / TILE_WIDTH, .width = (unsigned)(hashes % TILE_WIDTH) };
    if (own->width == 0)
        return OK;
    struct tile tile = { .level = (uint8_t)level, .index = own->number, .width = (uint16_t)own->width };
    struct span bytes;
    enum err err = audit->source->tile(reader, &tile, &bytes, why);
    if (err == OK && bytes.len != 32 * (size_t)own->width)
        err = fail(why, ERR_REFUSED, "tile %llu of level %u has a wrong length", (unsigned long long)own->number, level);
    if (err == OK)
        memcpy(own->hashes, bytes.data, bytes.len);
    return err;
}

/* The last tiles of all levels hold, between them, every hash that the root is made of. */
static enum err level_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    struct audit *audit = ctx;
    const struct audit_level *own = &audit->levels[tile->level];
    if (tile->index != own->number || tile->width > own->width)
        return fail(why, ERR_REFUSED, "tile %llu of level %u is asked for out of turn", (unsigned long long)tile->index,
                    tile->level);
    *bytes = span_of(own->hashes, 32 * (size_t)tile->width);
    return OK;
}

enum err audit_resume(struct audit *audit, uint64_t size, const struct hash *root, struct why *why)
{
    void *reader;
    uint64_t whole = size - size % TILE_WIDTH;
    struct hash own_root;
    enum err err = audit->source->open(audit->source->ctx, &reader, why);
    if (err != OK)
        return err;
    for (unsigned level = 0; level < AUDIT_LEVELS && err == OK; level++)
        err = load_level(audit, reader, level, size, why);
    struct tile_reader tiles = { .fetch = level_tile, .ctx = audit, .size = size };
    struct hash_reader hashes = tile_hash_reader(&tiles);
    if (err == OK)
        err = merkle_root(size, &hashes, &own_root, why);
    if (err == OK && !hash_eq(&own_root, root))
        err = fail(why, ERR_REFUSED, "the tiles do not give the root of the %llu entries that were verified before",
                   (unsigned long long)size);
    if (err == OK)
        err = frontier_load(&audit->frontier, whole, &hashes, why);
    audit->source->close(reader);
    return err;
}
