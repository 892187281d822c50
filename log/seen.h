/*
 * The set of leaf hashes in the log: is this attestation known, and at which index? Exact.
 *
 * Nothing of it is stored: it follows from the tiles, and is filled from them at start. It lies in mapped files without a name
 * (8 bytes a slot), so that the kernel may take its memory back; the disk's space is reserved first. A slot holds 24 bits of the
 * leaf hash and the index; where they match, the leaf hash at that index decides.
 *
 * For one thread.
 */
#ifndef STELE_LOG_SEEN_H
#define STELE_LOG_SEEN_H

#include "lib/hash.h"

struct seen;

/* Whether `leaf` is the leaf hash of an index that was added. */
typedef enum err seen_is_fn(void *ctx, uint64_t index, const struct hash *leaf, bool *is, struct why *why);

/* `dir` is a folder for the files; room for `expected` at once, and for more. ERR_ENV. */
enum err seen_new(struct seen **out, const char *dir, uint64_t expected, struct why *why);
void seen_free(struct seen *seen); /* NULL is fine */

/* *found and its index, where `leaf` was added. ERR_ENV: `is`'s. */
enum err seen_find(const struct seen *seen, const struct hash *leaf, seen_is_fn *is, void *ctx, bool *found, uint64_t *index,
                   struct why *why);
/* Adds what is not there: the caller has looked. ERR_ENV: memory, disk. */
enum err seen_add(struct seen *seen, const struct hash *leaf, uint64_t index, struct why *why);

#endif
