/*
 * The store's writing half. The schema, numbers big-endian:
 *
 *   meta        "schema" -> "1"; "origin"; "size" -> u64
 *   entry       u64 first index -> a run: entries in the form of tlog-tiles' entry bundles. A run never crosses a
 *               multiple of 256. A commit adds one run a bundle; the runs of a full bundle become one, as it is served.
 *   tile        level, u64 number -> 32 bytes a hash; the last of a level grows
 *   seen        leaf hash -> u64 index
 *   output      hash part, builder, u64 index -> nothing
 *   derivation  hash part, builder, u64 index -> nothing
 *   builder     vkey hash, u64 index -> nothing
 *   inputs      SHA-256 -> u64 lowest index that names it, the list
 *
 * `builder` in keys is the first 16 bytes of the vkey hash. seen, output, derivation and builder derive from the entries.
 */
#include "log/store.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/sys/file.h"
#include "log/store_tables.h"

#define SCHEMA "1"

enum { TAIL_LEVELS = 8, READERS_MAX = 512 }; /* 256^8 leaves are above TREE_SIZE_MAX */

static const uint64_t MAP_BYTES = UINT64_C(256) << 20;

/* The last tile of a level, while a commit appends to it. */
struct tail {
    uint64_t number;
    unsigned width;
    bool dirty;
    uint8_t hashes[TILE_WIDTH * 32];
};

struct store {
    struct kv *kv;
    _Atomic uint64_t size;
    struct tail tails[TAIL_LEVELS]; /* the writer's */
    struct buf run, merged;         /* the writer's */
};

/* One commit's work; starts anew each time kv_write runs it. */
struct job {
    struct store *store;
    struct kv_txn *txn;
    const struct store_part *parts;
    size_t n;
    uint64_t size;
    uint64_t run_first;
};

static enum err put_size(struct kv_txn *txn, uint64_t size, struct why *why)
{
    uint8_t value[8];
    put_be64(value, size);
    return kv_put(txn, TABLE_META, span_str("size"), span_of(value, sizeof value), why);
}

/* Appends a hash to the tail of `level` and, where that fills it, the tile's root to the level above, and so on. */
static enum err push_hash(struct job *job, struct hash hash, struct why *why)
{
    for (unsigned level = 0; level < TAIL_LEVELS; level++) {
        struct tail *tail = &job->store->tails[level];
        memcpy(tail->hashes + 32 * (size_t)tail->width++, hash.b, 32);
        tail->dirty = true;
        if (tail->width < TILE_WIDTH)
            return OK;
        uint8_t key[TILE_KEY_BYTES];
        struct span k = tile_key(key, (uint8_t)level, tail->number);
        enum err err = kv_put(job->txn, TABLE_TILE, k, span_of(tail->hashes, sizeof tail->hashes), why);
        if (err != OK)
            return err;
        hash = full_tile_root(tail->hashes);
        *tail = (struct tail){ .number = tail->number + 1 };
    }
    return fail(why, ERR_ENV, "the tree is full");
}

static enum err load_tails(struct job *job, struct why *why)
{
    for (unsigned level = 0; level < TAIL_LEVELS; level++) {
        struct tail *tail = &job->store->tails[level];
        uint64_t hashes = job->size >> (TILE_HEIGHT * level);
        *tail = (struct tail){ .number = hashes / TILE_WIDTH, .width = (unsigned)(hashes % TILE_WIDTH) };
        if (tail->width == 0)
            continue;
        uint8_t key[TILE_KEY_BYTES];
        struct span bytes;
        bool found;
        enum err err = kv_get(job->txn, TABLE_TILE, tile_key(key, (uint8_t)level, tail->number), &bytes, &found, why);
        if (err != OK)
            return err;
        if (!found || bytes.len != 32 * (size_t)tail->width)
            return store_broken(job->txn->kv, why, "the last tile of level %u is missing or has the wrong length", level);
        memcpy(tail->hashes, bytes.data, bytes.len);
    }
    return OK;
}

static enum err save_tails(struct job *job, struct why *why)
{
    enum err err = OK;
    for (unsigned level = 0; level < TAIL_LEVELS && err == OK; level++) {
        const struct tail *tail = &job->store->tails[level];
        uint8_t key[TILE_KEY_BYTES];
        if (tail->dirty)
            err = kv_put(job->txn, TABLE_TILE, tile_key(key, (uint8_t)level, tail->number),
                         span_of(tail->hashes, 32 * (size_t)tail->width), why);
    }
    return err;
}

/* Joins the runs of the bundle that begins at `first` with the current one, which completes it. */
static enum err merge_runs(struct job *job, uint64_t first, struct why *why)
{
    struct buf *merged = &job->store->merged;
    buf_clear(merged);
    uint8_t key[8];
    for (uint64_t at = first; at < job->run_first;) {
        put_be64(key, at);
        struct span run;
        bool found;
        enum err err = kv_get(job->txn, TABLE_ENTRY, span_of(key, sizeof key), &run, &found, why);
        if (err != OK)
            return err;
        uint64_t entries = found ? run_entries(run) : 0;
        if (entries == 0 || at + entries > job->run_first)
            return store_broken(job->txn->kv, why, "no whole run of entries at %llu", (unsigned long long)at);
        buf_span(merged, run);
        if (at != first && (err = kv_delete(job->txn, TABLE_ENTRY, span_of(key, sizeof key), why)) != OK)
            return err;
        at += entries;
    }
    buf_span(merged, span_buf(&job->store->run));
    return buf_done(merged, why);
}

/* Writes the current run; `full` where it ends its bundle. */
static enum err put_run(struct job *job, bool full, struct why *why)
{
    struct buf *run = &job->store->run;
    enum err err = buf_done(run, why);
    if (err != OK || run->len == 0)
        return err;
    uint8_t key[8];
    uint64_t first = job->run_first - job->run_first % TILE_WIDTH; /* of the bundle */
    if (full && first != job->run_first) {
        err = merge_runs(job, first, why);
        put_be64(key, first);
        if (err == OK)
            err = kv_put(job->txn, TABLE_ENTRY, span_of(key, sizeof key), span_buf(&job->store->merged), why);
    } else {
        put_be64(key, job->run_first);
        err = kv_append(job->txn, TABLE_ENTRY, span_of(key, sizeof key), span_buf(run), why);
    }
    buf_clear(run);
    job->run_first = job->size;
    return err;
}

static enum err put_path(struct job *job, unsigned table, const uint8_t hash_part[STORE_HASH_PART_BYTES],
                         const struct store_entry *entry, struct why *why)
{
    uint8_t key[PATH_KEY_BYTES];
    return kv_put(job->txn, table, path_key(key, hash_part, entry->builder.b, entry->index), span_of("", 0), why);
}

static enum err put_indices(struct job *job, const struct store_entry *entry, struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < entry->outputs_n && err == OK; i++)
        err = put_path(job, TABLE_OUTPUT, entry->outputs[i], entry, why);
    if (err == OK && entry->has_derivation)
        err = put_path(job, TABLE_DERIVATION, entry->derivation, entry, why);
    uint8_t key[BUILDER_KEY_BYTES];
    if (err == OK)
        err = kv_put(job->txn, TABLE_BUILDER, builder_key(key, entry->builder.b, entry->index), span_of("", 0), why);
    return err;
}

/* The list that `entry` names, from its part; what is stored already stays. */
static enum err put_list(struct job *job, const struct store_part *part, const struct store_entry *entry, struct why *why)
{
    struct span key = span_of(entry->input_list.b, 32), there;
    bool found;
    enum err err = kv_get(job->txn, TABLE_INPUTS, key, &there, &found, why);
    if (err != OK || found)
        return err;
    for (size_t i = 0; i < part->lists_n; i++) {
        if (!hash_eq(&part->lists[i].hash, &entry->input_list))
            continue;
        struct buf value = BUF_EMPTY;
        uint8_t first[8];
        put_be64(first, entry->index);
        buf_add(&value, first, sizeof first);
        buf_span(&value, part->lists[i].text);
        err = buf_done(&value, why);
        if (err == OK)
            err = kv_put(job->txn, TABLE_INPUTS, key, span_buf(&value), why);
        buf_free(&value);
        return err;
    }
    return fail(why, ERR_REFUSED, "the input list of an entry is neither stored nor in its submission");
}

static enum err append_entry(struct job *job, const struct store_part *part, struct store_entry *entry, struct why *why)
{
    struct span leaf = span_of(entry->leaf.b, 32), seen;
    enum err err = kv_get(job->txn, TABLE_SEEN, leaf, &seen, &entry->known, why);
    if (err != OK)
        return err;
    if (entry->known) {
        if (seen.len != 8)
            return store_broken(job->txn->kv, why, "a malformed index of a leaf hash");
        entry->index = get_be64(seen.data);
    } else {
        entry->index = job->size++;
        uint8_t index[8];
        put_be64(index, entry->index);
        bundle_add(&job->store->run, entry->bytes);
        err = kv_put(job->txn, TABLE_SEEN, leaf, span_of(index, sizeof index), why);
        if (err == OK)
            err = put_indices(job, entry, why);
        if (err == OK)
            err = push_hash(job, entry->leaf, why);
        if (err == OK && job->size % TILE_WIDTH == 0)
            err = put_run(job, true, why);
    }
    if (err == OK && entry->has_input_list)
        err = put_list(job, part, entry, why);
    return err;
}

static enum err append_all(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct job *job = ctx;
    job->txn = txn;
    enum err err = read_size(txn, &job->size, why);
    if (err != OK)
        return err;
    uint64_t before = job->size;
    job->run_first = job->size;
    buf_clear(&job->store->run);
    if ((err = load_tails(job, why)) != OK)
        return err;
    for (size_t i = 0; i < job->n; i++)
        for (size_t j = 0; j < job->parts[i].n; j++)
            if ((err = append_entry(job, &job->parts[i], &job->parts[i].entries[j], why)) != OK)
                return err;
    if (job->size == before)
        return OK;
    if ((err = put_run(job, false, why)) != OK || (err = save_tails(job, why)) != OK)
        return err;
    return put_size(txn, job->size, why);
}

enum err store_append(struct store *store, const struct store_part *parts, size_t n, uint64_t *size, struct why *why)
{
    struct job job = { .store = store, .parts = parts, .n = n };
    enum err err = kv_write(store->kv, append_all, &job, why);
    if (err != OK)
        return err;
    atomic_store(&store->size, job.size);
    *size = job.size;
    return OK;
}

struct opening {
    struct store *store;
    struct span origin;
};

static enum err check_meta(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct opening *opening = ctx;
    struct span schema, origin;
    bool found;
    enum err err = kv_get(txn, TABLE_META, span_str("schema"), &schema, &found, why);
    if (err != OK)
        return err;
    if (!found) {
        err = kv_put(txn, TABLE_META, span_str("schema"), span_str(SCHEMA), why);
        if (err == OK)
            err = kv_put(txn, TABLE_META, span_str("origin"), opening->origin, why);
        return err != OK ? err : put_size(txn, 0, why);
    }
    if (!span_is(schema, SCHEMA))
        return fail(why, ERR_REFUSED, "the data has schema %.*s, this program knows " SCHEMA, SPAN_FMT(schema));
    err = kv_get(txn, TABLE_META, span_str("origin"), &origin, &found, why);
    if (err != OK)
        return err;
    if (!found || !span_eq(origin, opening->origin))
        return fail(why, ERR_REFUSED, "the data belongs to another origin than %.*s", SPAN_FMT(opening->origin));
    uint64_t size;
    err = read_size(txn, &size, why);
    atomic_store(&opening->store->size, size);
    return err;
}

enum err store_open(struct store **out, const char *dir, struct span origin, struct why *why)
{
    *out = NULL;
    char *path = path_join(dir, "data");
    struct store *store = calloc(1, sizeof *store);
    enum err err = path == NULL || store == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(path, 0700, why);
    if (err == OK)
        err = dir_sync(dir, why);
    if (err == OK)
        err = kv_open(
            &store->kv,
            &(struct kv_config){
                .path = path, .tables = store_tables, .tables_n = TABLES_N, .map_bytes = MAP_BYTES, .readers_max = READERS_MAX },
            why);
    if (err == OK)
        err = kv_write(store->kv, check_meta, &(struct opening){ store, origin }, why);
    if (err == OK)
        err = dir_sync(path, why);
    if (err == OK)
        *out = store;
    else
        store_close(store);
    free(path);
    return err;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    kv_close(store->kv);
    buf_free(&store->run);
    buf_free(&store->merged);
    free(store);
}

uint64_t store_size(struct store *store)
{
    return atomic_load(&store->size);
}

uint64_t store_used_bytes(struct store *store)
{
    return kv_used_bytes(store->kv);
}

bool store_dead(struct store *store, struct why *why)
{
    return kv_dead(store->kv, why);
}

void store_kill(struct store *store, const struct why *why)
{
    kv_kill(store->kv, why);
}

struct kv *store_kv(struct store *store)
{
    return store->kv;
}
