/*
 * Sorted runs of index keys in a database of their own, DIR/index: the stored half of log/index.h.
 *
 * A run holds the keys of the entries [from, to), sorted, in blocks; it never changes. Runs stand in the order of their entries,
 * without a gap. Eight of one level are merged into one of the next, in many short transactions, so that a key is written about
 * log8 times in all, and always in sequence: a B-tree would copy a page for each key.
 *
 *   meta   "schema" -> "1"; "origin"; "manifest" -> what counts: u64 covered, leaf hash of entry covered - 1, and a run
 *          each: u64 id, u64 from, u64 to, u64 keys, u64 level
 *   run    u64 id, first key of the block -> the block: keys without anything between
 *
 * Blocks of an id that is not in the manifest are left over, and are removed. Everything here follows from the entries.
 */
#ifndef STELE_LOG_INDEX_RUNS_H
#define STELE_LOG_INDEX_RUNS_H

#include "lib/hash.h"
#include "lib/sys/kv.h"

enum {
    INDEX_NAME_BYTES = 37,                                /* what is looked up: see log/index.h */
    INDEX_KEY_BYTES = INDEX_NAME_BYTES + 8,               /* and the entry's index, big-endian */
    INDEX_RUNS_MAX = 128,                                 /* in the manifest: some eight a level */
    INDEX_FANOUT = 8,                                     /* runs of one level that become one of the next */
    INDEX_BLOCK_KEYS = (4 * 4096 - 16) / INDEX_KEY_BYTES, /* fills four of LMDB's pages */
};

enum { INDEX_META, INDEX_RUN, INDEX_TABLES_N };
extern const char *const index_tables[INDEX_TABLES_N];

struct index_run {
    uint64_t id, from, to, keys, level;
};

struct index_manifest {
    uint64_t covered; /* the runs hold the keys of the entries below it */
    struct hash last; /* leaf hash of entry covered - 1 */
    struct index_run runs[INDEX_RUNS_MAX];
    size_t n;
};

/* Absent: nothing is covered. ERR_ENV where it is damaged. */
enum err manifest_read(struct kv_txn *txn, struct index_manifest *out, struct why *why);
enum err manifest_write(struct kv_txn *txn, const struct index_manifest *manifest, struct why *why);
/* Writes it with one run more, the newest, whose last entry has the leaf hash `last`. ERR_ENV where it is full. */
enum err manifest_add(struct kv_txn *txn, struct index_manifest *manifest, const struct index_run *run, const struct hash *last,
                      struct why *why);

/* Goes through the keys of a run in order, or of an array in memory. */
struct run_iter {
    const uint8_t *at, *end; /* the rest of the block; both NULL, or equal, at the end of the run */
    struct kv_txn *txn;      /* NULL: an array */
    uint64_t id;
    uint8_t *copy; /* room for a block, where `txn` writes between two steps; otherwise NULL, and the block is borrowed */
};
/* To the first key at or above `key`. */
enum err run_seek(struct run_iter *iter, const uint8_t key[INDEX_KEY_BYTES], struct why *why);
enum err run_next(struct run_iter *iter, struct why *why);
static inline bool run_at_end(const struct run_iter *iter)
{
    return iter->at == iter->end;
}
/* The one with the least key; NULL where all are at their end. */
struct run_iter *run_least(struct run_iter *iters, size_t n);

/* Writes the blocks of a new run. */
struct run_writer {
    struct kv_txn *txn;
    uint64_t id, keys;
    size_t in_block;
    uint8_t block[INDEX_BLOCK_KEYS * INDEX_KEY_BYTES];
};
enum err run_add(struct run_writer *writer, const uint8_t key[INDEX_KEY_BYTES], struct why *why);
enum err run_end(struct run_writer *writer, struct why *why);

/* A merge under way: of `n` neighbours in the manifest into a run that nobody sees until it is whole. */
struct index_merge {
    struct index_run sources[INDEX_FANOUT];
    size_t n; /* 0: none is under way */
    uint64_t id, keys;
    uint8_t from[INDEX_KEY_BYTES]; /* the next key to merge */
};
/* Is a merge due? Then it is begun in *merge, as run `id`. */
bool merge_begin(struct index_merge *merge, const struct index_manifest *manifest, uint64_t id);
/* One transaction's worth; at the end the manifest has the new run in place of the sources, and merge->n is 0. */
enum err merge_step(struct kv *kv, struct index_merge *merge, struct why *why);
/* One transaction's worth of removing blocks that are neither in the manifest nor of run `building`; *more where some are left. */
enum err runs_collect(struct kv *kv, uint64_t building, bool *more, struct why *why);
/* An id above all that are in use. */
enum err runs_next_id(struct kv_txn *txn, uint64_t *id, struct why *why);

#endif
