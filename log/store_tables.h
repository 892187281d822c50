/*
 * What the two halves of the store share: its tables and the form of their keys. For log/store*.c alone.
 */
#ifndef STELE_LOG_STORE_TABLES_H
#define STELE_LOG_STORE_TABLES_H

#include "log/store.h"

enum {
    TABLE_META,
    TABLE_ENTRY,
    TABLE_TILE,
    TABLE_SEEN,
    TABLE_OUTPUT,
    TABLE_DERIVATION,
    TABLE_BUILDER,
    TABLE_INPUTS,
    TABLES_N,
};
extern const char *const store_tables[TABLES_N];

enum {
    TILE_KEY_BYTES = 1 + 8,
    BUILDER_PREFIX_BYTES = 16, /* of a vkey hash: nobody finds a second key with the same */
    PATH_PREFIX_BYTES = STORE_HASH_PART_BYTES + BUILDER_PREFIX_BYTES,
    PATH_KEY_BYTES = PATH_PREFIX_BYTES + 8,
    BUILDER_KEY_BYTES = 32 + 8,
};

struct span tile_key(uint8_t out[TILE_KEY_BYTES], uint8_t level, uint64_t number);
/* `builder` gives its first BUILDER_PREFIX_BYTES. */
struct span path_key(uint8_t out[PATH_KEY_BYTES], const uint8_t *hash_part, const uint8_t *builder, uint64_t index);
struct span builder_key(uint8_t out[BUILDER_KEY_BYTES], const uint8_t *builder, uint64_t index);

/* The root of a full tile. */
struct hash full_tile_root(const uint8_t hashes[TILE_WIDTH * 32]);
/* How many entries a run holds; 0 where it is cut. */
uint64_t run_entries(struct span run);
enum err read_size(struct kv_txn *txn, uint64_t *size, struct why *why);
/* What the store holds contradicts itself: ends all writing. ERR_ENV. */
enum err store_broken(struct kv *kv, struct why *why, const char *fmt, ...) STELE_PRINTF(3, 4);
struct kv *store_kv(struct store *store);

#endif
