/*
 * The set of leaf hashes in the log: is this attestation known, and at which index? Exact.
 *
 * It follows from the tiles. The newest lie in memory; a thread writes them out as sorted runs (log/seen_run.h), merges those of
 * like size, and is never waited for unless it falls far behind. So adding writes nothing at random, there are few runs to look
 * into, and a restart finds all but the newest there. Where a run's first 8 bytes match, the whole leaf hash at its index decides.
 *
 * For one thread, but for what says otherwise.
 */
#ifndef STELE_LOG_SEEN_H
#define STELE_LOG_SEEN_H

#include "lib/hash.h"

struct seen;

/* The leaf hash of an entry that is committed. ERR_ENV. */
typedef enum err seen_leaf_fn(void *ctx, uint64_t index, struct hash *leaf, struct why *why);
/* Whether `leaf` is the leaf hash of an index that was added. */
typedef enum err seen_is_fn(void *ctx, uint64_t index, const struct hash *leaf, bool *is, struct why *why);

struct seen_config {
    const char *dir; /* a folder of its own; what does not belong there is removed */
    uint64_t size;   /* entries committed */
    seen_leaf_fn *leaf;
    void *ctx;    /* leaf's; both are used by seen_open alone */
    bool reading; /* beside the process that writes: nothing is removed, nothing can be added */
};

/* Takes over the runs that belong to these entries and are whole: the caller adds those from seen_covered on. ERR_ENV. */
enum err seen_open(struct seen **out, const struct seen_config *config, struct why *why);
void seen_close(struct seen *seen); /* NULL is fine */
uint64_t seen_covered(const struct seen *seen);
/* Of its files; from any thread. */
uint64_t seen_bytes(const struct seen *seen);

/* *found and its index, where `leaf` was added. From any thread while nothing is added. ERR_ENV: `is`'s. */
enum err seen_find(const struct seen *seen, const struct hash *leaf, seen_is_fn *is, void *ctx, bool *found, uint64_t *index,
                   struct why *why);
/* Adds what is not there (the caller has looked), at the index after the last one. ERR_ENV: memory. */
enum err seen_add(struct seen *seen, const struct hash *leaf, uint64_t index, struct why *why);
/* All that was added is committed: takes over what the thread has done, and gives it what is due. ERR_ENV: disk. */
enum err seen_settle(struct seen *seen, struct why *why);

#endif
