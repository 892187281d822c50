#include "log/index_runs.h"

#include <stdlib.h>

enum {
    RUN_BYTES = 5 * 8,        /* in the manifest */
    BLOCK_ID_BYTES = 8,       /* in front of a block's first key */
    MERGE_STEP_KEYS = 100000, /* in one transaction: 4.5 MB */
    COLLECT_STEP_BLOCKS = 1024,
    MANIFEST_BYTES_MAX = 8 + 32 + INDEX_RUNS_MAX * RUN_BYTES,
};

const char *const index_tables[INDEX_TABLES_N] = { [INDEX_META] = "meta", [INDEX_RUN] = "run" };

static enum err damaged(struct kv_txn *txn, const char *what, struct why *why)
{
    struct why own;
    fail(&own, ERR_ENV, "the log's indices are damaged: %s. They follow from the entries: remove DIR/index, and start", what);
    kv_kill(txn->kv, &own);
    return fail(why, ERR_ENV, "%s", own.text);
}

enum err manifest_read(struct kv_txn *txn, struct index_manifest *out, struct why *why)
{
    struct span value;
    bool found;
    *out = (struct index_manifest){ 0 };
    enum err err = kv_get(txn, INDEX_META, span_str("manifest"), &value, &found, why);
    if (err != OK || !found)
        return err;
    if (value.len < 40 || (value.len - 40) % RUN_BYTES != 0 || value.len > MANIFEST_BYTES_MAX)
        return damaged(txn, "a manifest of a wrong length", why);
    out->covered = get_be64(value.data);
    memcpy(out->last.b, value.data + 8, 32);
    uint64_t to = 0;
    for (const uint8_t *at = value.data + 40; at < value.data + value.len; at += RUN_BYTES) {
        struct index_run *run = &out->runs[out->n++];
        *run = (struct index_run){ get_be64(at), get_be64(at + 8), get_be64(at + 16), get_be64(at + 24), get_be64(at + 32) };
        if (run->from != to || run->to <= run->from)
            return damaged(txn, "a gap between two runs", why);
        if (run->id > INT64_MAX) /* above it there would be no next one */
            return damaged(txn, "a run of a number that was never given", why);
        to = run->to;
    }
    return to == out->covered ? OK : damaged(txn, "the runs do not end where the manifest says", why);
}

enum err manifest_write(struct kv_txn *txn, const struct index_manifest *manifest, struct why *why)
{
    uint8_t value[MANIFEST_BYTES_MAX];
    put_be64(value, manifest->covered);
    memcpy(value + 8, manifest->last.b, 32);
    uint8_t *at = value + 40;
    for (size_t i = 0; i < manifest->n; i++, at += RUN_BYTES) {
        const struct index_run *run = &manifest->runs[i];
        const uint64_t fields[5] = { run->id, run->from, run->to, run->keys, run->level };
        for (size_t k = 0; k < 5; k++)
            put_be64(at + 8 * k, fields[k]);
    }
    return kv_put(txn, INDEX_META, span_str("manifest"), span_of(value, (size_t)(at - value)), why);
}

enum err manifest_add(struct kv_txn *txn, struct index_manifest *manifest, const struct index_run *run, const struct hash *last,
                      struct why *why)
{
    if (manifest->n == INDEX_RUNS_MAX)
        return damaged(txn, "more runs than merging leaves", why);
    manifest->runs[manifest->n++] = *run;
    manifest->covered = run->to;
    manifest->last = *last;
    return manifest_write(txn, manifest, why);
}

static struct span block_key(uint8_t out[BLOCK_ID_BYTES + INDEX_KEY_BYTES], uint64_t id, const uint8_t *key)
{
    put_be64(out, id);
    memcpy(out + BLOCK_ID_BYTES, key, INDEX_KEY_BYTES);
    return span_of(out, BLOCK_ID_BYTES + INDEX_KEY_BYTES);
}

/* A block stands under its first key, and its last one is not below that: so who goes on behind a block always gets further. */
static enum err take_block(struct run_iter *iter, struct span key, struct span block, struct why *why)
{
    if (block.len == 0 || block.len % INDEX_KEY_BYTES != 0 || block.len > INDEX_BLOCK_KEYS * INDEX_KEY_BYTES)
        return damaged(iter->txn, "a block of a wrong length", why);
    if (key.len != BLOCK_ID_BYTES + INDEX_KEY_BYTES || memcmp(key.data + BLOCK_ID_BYTES, block.data, INDEX_KEY_BYTES) != 0 ||
        memcmp(block.data, block.data + block.len - INDEX_KEY_BYTES, INDEX_KEY_BYTES) > 0)
        return damaged(iter->txn, "a block under a key that is not its first", why);
    if (iter->copy != NULL)
        block.data = memcpy(iter->copy, block.data, block.len);
    iter->at = block.data;
    iter->end = block.data + block.len;
    return OK;
}

/* The first block whose first key is at or above `key`. */
static enum err block_from(struct run_iter *iter, const uint8_t *key, struct why *why)
{
    uint8_t from[BLOCK_ID_BYTES + INDEX_KEY_BYTES];
    struct kv_cursor cursor;
    struct span found_key = { 0 }, block = { 0 };
    bool found = false;
    iter->at = iter->end = NULL;
    enum err err = kv_cursor_open(&cursor, iter->txn, INDEX_RUN, block_key(from, iter->id, key), BLOCK_ID_BYTES, why);
    if (err == OK)
        err = kv_cursor_next(&cursor, &found_key, &block, &found, why);
    if (err == OK && found)
        err = take_block(iter, found_key, block, why);
    kv_cursor_close(&cursor);
    return err;
}

static void skip_below(struct run_iter *iter, const uint8_t *key)
{
    size_t low = 0, high = (size_t)(iter->end - iter->at) / INDEX_KEY_BYTES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(iter->at + middle * INDEX_KEY_BYTES, key, INDEX_KEY_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    iter->at += low * INDEX_KEY_BYTES;
}

enum err run_seek(struct run_iter *iter, const uint8_t key[INDEX_KEY_BYTES], struct why *why)
{
    if (iter->txn == NULL) {
        skip_below(iter, key);
        return OK;
    }
    uint8_t at[BLOCK_ID_BYTES + INDEX_KEY_BYTES];
    struct span found_key, block = { 0 };
    bool found;
    enum err err = kv_floor(iter->txn, INDEX_RUN, block_key(at, iter->id, key), &found_key, &block, &found, why);
    if (err != OK)
        return err;
    if (found && found_key.len >= BLOCK_ID_BYTES && memcmp(found_key.data, at, BLOCK_ID_BYTES) == 0) {
        if ((err = take_block(iter, found_key, block, why)) != OK)
            return err;
        skip_below(iter, key);
        if (!run_at_end(iter))
            return OK;
    }
    return block_from(iter, key, why);
}

enum err run_next(struct run_iter *iter, struct why *why)
{
    uint8_t after[INDEX_KEY_BYTES];
    memcpy(after, iter->at, sizeof after);
    iter->at += INDEX_KEY_BYTES;
    if (!run_at_end(iter) || iter->txn == NULL)
        return OK;
    size_t i = sizeof after;
    while (i > 0 && ++after[i - 1] == 0) /* the least key above */
        i--;
    return i == 0 ? OK : block_from(iter, after, why); /* nothing is above the greatest */
}

struct run_iter *run_least(struct run_iter *iters, size_t n)
{
    struct run_iter *least = NULL;
    for (size_t i = 0; i < n; i++)
        if (!run_at_end(&iters[i]) && (least == NULL || memcmp(iters[i].at, least->at, INDEX_KEY_BYTES) < 0))
            least = &iters[i];
    return least;
}

enum err run_end(struct run_writer *writer, struct why *why)
{
    uint8_t key[BLOCK_ID_BYTES + INDEX_KEY_BYTES];
    if (writer->in_block == 0)
        return OK;
    struct span block = span_of(writer->block, writer->in_block * INDEX_KEY_BYTES);
    writer->in_block = 0;
    return kv_put(writer->txn, INDEX_RUN, block_key(key, writer->id, writer->block), block, why);
}

enum err run_add(struct run_writer *writer, const uint8_t key[INDEX_KEY_BYTES], struct why *why)
{
    memcpy(writer->block + writer->in_block++ * INDEX_KEY_BYTES, key, INDEX_KEY_BYTES);
    writer->keys++;
    return writer->in_block < INDEX_BLOCK_KEYS ? OK : run_end(writer, why);
}

bool merge_begin(struct index_merge *merge, const struct index_manifest *manifest, uint64_t id)
{
    /* Levels fall from the oldest run to the newest: look from the end for the lowest that is full. */
    for (size_t end = manifest->n, first; end > 0; end = first) {
        for (first = end; first > 0 && manifest->runs[first - 1].level == manifest->runs[end - 1].level;)
            first--;
        if (end - first < INDEX_FANOUT)
            continue;
        *merge = (struct index_merge){ .n = INDEX_FANOUT, .id = id };
        memcpy(merge->sources, &manifest->runs[first], sizeof merge->sources);
        return true;
    }
    return false;
}

/* Puts the new run in place of its sources. */
static enum err merge_end(struct kv_txn *txn, const struct index_merge *merge, uint64_t keys, struct why *why)
{
    struct index_manifest manifest;
    enum err err = manifest_read(txn, &manifest, why);
    if (err != OK)
        return err;
    size_t first = 0;
    while (first < manifest.n && manifest.runs[first].id != merge->sources[0].id)
        first++;
    if (first + merge->n > manifest.n)
        return damaged(txn, "a run that was being merged is gone", why);
    manifest.runs[first] = (struct index_run){ .id = merge->id,
                                               .from = merge->sources[0].from,
                                               .to = merge->sources[merge->n - 1].to,
                                               .keys = keys,
                                               .level = merge->sources[0].level + 1 };
    memmove(&manifest.runs[first + 1], &manifest.runs[first + merge->n], (manifest.n - first - merge->n) * sizeof manifest.runs[0]);
    manifest.n -= merge->n - 1;
    return manifest_write(txn, &manifest, why);
}

struct merging {
    const struct index_merge *merge;
    struct index_merge after; /* as the step leaves it; starts anew with each run of the transaction */
    uint8_t *blocks;          /* a copy for each source */
    struct run_writer writer;
};

static enum err merge_some(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct merging *merging = ctx;
    const struct index_merge *merge = merging->merge;
    struct run_iter iters[INDEX_FANOUT] = { { 0 } }, *least;
    enum err err = OK;
    for (size_t i = 0; i < merge->n && err == OK; i++) {
        iters[i] = (struct run_iter){ .txn = txn,
                                      .id = merge->sources[i].id,
                                      .copy = merging->blocks + i * INDEX_BLOCK_KEYS * INDEX_KEY_BYTES };
        err = run_seek(&iters[i], merge->from, why);
    }
    merging->after = *merge;
    merging->writer.txn = txn;
    merging->writer.id = merge->id;
    merging->writer.keys = merging->writer.in_block = 0;
    while (err == OK && merging->writer.keys < MERGE_STEP_KEYS && (least = run_least(iters, merge->n)) != NULL) {
        err = run_add(&merging->writer, least->at, why);
        if (err == OK)
            err = run_next(least, why);
    }
    if (err == OK)
        err = run_end(&merging->writer, why);
    if (err != OK)
        return err;
    merging->after.keys += merging->writer.keys;
    least = run_least(iters, merge->n);
    if (least != NULL) {
        memcpy(merging->after.from, least->at, INDEX_KEY_BYTES);
        return OK;
    }
    merging->after.n = 0;
    return merge_end(txn, merge, merging->after.keys, why);
}

enum err merge_step(struct kv *kv, struct index_merge *merge, struct why *why)
{
    struct merging *merging = malloc(sizeof *merging);
    uint8_t *blocks = malloc((size_t)INDEX_FANOUT * INDEX_BLOCK_KEYS * INDEX_KEY_BYTES);
    enum err err = merging == NULL || blocks == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK) {
        merging->merge = merge;
        merging->blocks = blocks;
        err = kv_write(kv, merge_some, merging, why);
    }
    if (err == OK)
        *merge = merging->after;
    free(blocks);
    free(merging);
    return err;
}

struct collecting {
    uint64_t building;
    bool more;
};

static bool counts(const struct index_manifest *manifest, uint64_t id)
{
    for (size_t i = 0; i < manifest->n; i++)
        if (manifest->runs[i].id == id)
            return true;
    return false;
}

/* The first block at or above `id`. */
static enum err first_block(struct kv_txn *txn, uint64_t id, uint8_t key[BLOCK_ID_BYTES + INDEX_KEY_BYTES], bool *found,
                            struct why *why)
{
    uint8_t from[BLOCK_ID_BYTES];
    struct kv_cursor cursor;
    struct span at = { 0 }, block;
    put_be64(from, id);
    enum err err = kv_cursor_open(&cursor, txn, INDEX_RUN, span_of(from, sizeof from), 0, why);
    if (err == OK)
        err = kv_cursor_next(&cursor, &at, &block, found, why);
    if (err == OK && *found && at.len != BLOCK_ID_BYTES + INDEX_KEY_BYTES)
        err = damaged(txn, "a block's key has a wrong length", why);
    if (err == OK && *found)
        memcpy(key, at.data, at.len);
    kv_cursor_close(&cursor);
    return err;
}

static enum err collect_some(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct collecting *collecting = ctx;
    struct index_manifest manifest;
    enum err err = manifest_read(txn, &manifest, why);
    uint64_t id = 0;
    collecting->more = true;
    for (unsigned removed = 0; err == OK && removed < COLLECT_STEP_BLOCKS;) {
        uint8_t key[BLOCK_ID_BYTES + INDEX_KEY_BYTES];
        bool found = false;
        if ((err = first_block(txn, id, key, &found, why)) != OK)
            break;
        if (!found) {
            collecting->more = false;
            break;
        }
        id = get_be64(key);
        if (counts(&manifest, id) || id == collecting->building) {
            id++;
            continue;
        }
        err = kv_delete(txn, INDEX_RUN, span_of(key, sizeof key), why);
        removed++;
    }
    return err;
}

enum err runs_collect(struct kv *kv, uint64_t building, bool *more, struct why *why)
{
    struct collecting collecting = { .building = building };
    enum err err = kv_write(kv, collect_some, &collecting, why);
    *more = collecting.more;
    return err;
}

enum err runs_next_id(struct kv_txn *txn, uint64_t *id, struct why *why)
{
    uint8_t last[BLOCK_ID_BYTES];
    struct span key, block;
    bool found;
    put_be64(last, UINT64_MAX);
    enum err err = kv_floor(txn, INDEX_RUN, span_of(last, sizeof last), &key, &block, &found, why);
    if (err == OK)
        *id = found && key.len >= BLOCK_ID_BYTES ? get_be64(key.data) + 1 : 1;
    return err;
}
