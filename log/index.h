/*
 * The look-up indices: which entries name a store path as an output, as the derivation they built, or are by a builder.
 *
 * They derive from the entries and lag them on disk: the newest keys lie in memory, and a thread of the index's own writes them
 * out and merges them (log/index_runs.h). So a commit of the log costs no random access, however large the log is. Whoever opens
 * the index hands it the entries from index_covered on again.
 *
 * A key is what is looked up, and the entry's index:
 *   'O' or 'D', hash part (20), first 16 bytes of the builder's vkey hash     'B', vkey hash (32), zeros
 */
#ifndef STELE_LOG_INDEX_H
#define STELE_LOG_INDEX_H

#include "lib/storepath.h"
#include "lib/tile.h"
#include "log/index_runs.h"

enum { INDEX_BUILDER_BYTES = 16 }; /* of a vkey hash: nobody finds a second key with the same */

enum index_kind { INDEX_OUTPUT = 'O', INDEX_DERIVATION = 'D', INDEX_BUILDER = 'B' };

/* Of INDEX_OUTPUT and INDEX_DERIVATION; of a builder. */
void index_path_key(uint8_t out[INDEX_KEY_BYTES], enum index_kind kind, const uint8_t hash_part[HASH_PART_BYTES],
                    const uint8_t builder[INDEX_BUILDER_BYTES], uint64_t index);
void index_builder_key(uint8_t out[INDEX_KEY_BYTES], const struct hash *builder, uint64_t index);

struct index;

struct index_config {
    const char *path; /* a folder that is there */
    struct span origin;
    bool reading; /* beside the process that writes: what is stored alone; ERR_ENV where there is nothing */
    /* The index's own thread met a storage error: the log must stop. */
    void (*failed)(void *ctx, const struct why *why);
    void *ctx;
};

/* ERR_ENV; ERR_REFUSED for another origin's or an unknown schema. */
enum err index_open(struct index **out, const struct index_config *config, struct why *why);
/* Writes out what is in memory. NULL is fine. */
void index_close(struct index *index);
/* The keys of the entries below *size are stored; *last is the leaf hash of the one before it. */
enum err index_covered(struct index *index, uint64_t *size, struct hash *last, struct why *why);
/* Forgets everything, because it belongs to other entries; before the first index_add. */
enum err index_clear(struct index *index, struct why *why);

/* The `n` keys of the entries [from, to), in any order; `last` is the leaf hash of entry to - 1. `from` is where the last call
 * ended. Waits while too much is in memory. ERR_ENV: memory, or the thread has failed. */
enum err index_add(struct index *index, uint64_t from, uint64_t to, const uint8_t *keys, size_t n, const struct hash *last,
                   struct why *why);

struct index_metrics {
    uint64_t entries_in_memory, used_bytes;
};
void index_metrics(struct index *index, struct index_metrics *out);

/* A snapshot that holds every key added before it was taken. Short; at most one a thread. */
struct index_view;
enum err index_view_begin(struct index *index, struct index_view **out, struct why *why);
void index_view_end(struct index_view *view); /* NULL is fine */
/* Entries below this are covered by what is stored. */
uint64_t index_view_covered(const struct index_view *view);
/* Appends to indices[*n] those of the keys with `key`'s name, from its index on, below `size`, at most `max` in all. */
enum err index_view_find(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], uint64_t size, uint64_t *indices, size_t max,
                         size_t *n, struct why *why);
/* The first key at or above `key` that has its first `prefix_len` bytes. */
enum err index_view_first(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], size_t prefix_len,
                          uint8_t out[INDEX_KEY_BYTES], bool *found, struct why *why);
/* For fsck. Is this key stored? And: are the stored runs sorted, within their entries, and of how many keys? ERR_REFUSED. */
enum err index_view_has(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], bool *has, struct why *why);
enum err index_view_check(struct index_view *view, uint64_t *keys, struct why *why);

#endif
