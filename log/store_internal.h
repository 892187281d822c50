/*
 * What the parts of the store share: its tables, the form of their keys, and its state. For log/store*.c alone.
 */
#ifndef STELE_LOG_STORE_INTERNAL_H
#define STELE_LOG_STORE_INTERNAL_H

#include <stdatomic.h>

#include "log/index.h"
#include "log/seen.h"
#include "log/store.h"

enum { TABLE_META, TABLE_ENTRY, TABLE_TILE, TABLE_INPUTS, TABLES_N };
extern const char *const store_tables[TABLES_N];

enum { TILE_KEY_BYTES = 1 + 8, TAIL_LEVELS = 8 }; /* 256^8 leaves are above TREE_SIZE_MAX */

/* The last tile of a level, while a commit appends to it. */
struct tail {
    uint64_t number;
    unsigned width;
    bool dirty;
    uint8_t hashes[TILE_WIDTH * 32];
};

struct store {
    struct kv *kv;
    struct index *index;
    _Atomic uint64_t size; /* committed */
    /* The writer's alone: */
    struct seen *seen;
    struct tail tails[TAIL_LEVELS];
    struct buf run, merged;
    struct buf new_leaves, new_keys; /* of the batch at hand */
};

struct span tile_key(uint8_t out[TILE_KEY_BYTES], uint8_t level, uint64_t number);
/* Appends the keys under which a described entry is found, INDEX_KEY_BYTES each. */
void store_add_keys(const struct store_entry *entry, struct buf *out);

/* Sets view->index where it is not yet. */
enum err store_view_open_index(struct store_view *view, struct why *why);

/* The root of a full tile. */
struct hash full_tile_root(const uint8_t hashes[TILE_WIDTH * 32]);
/* How many entries a run holds; 0 where it is cut. */
uint64_t run_entries(struct span run);
enum err read_size(struct kv_txn *txn, uint64_t *size, struct why *why);
enum err put_size(struct kv_txn *txn, uint64_t size, struct why *why);
/* What the store holds contradicts itself: ends all writing. ERR_ENV. */
enum err store_broken(struct kv *kv, struct why *why, const char *fmt, ...) STELE_PRINTF(3, 4);

#endif
