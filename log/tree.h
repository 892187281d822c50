/*
 * The tree that the log's signer is asked to sign, by other code than wrote it (spec/invariants.md, 3): the entries' bytes as
 * stored are hashed again into a frontier, and its root must be the one that the tiles give. A bit that flipped on the way,
 * in memory or on disk, is found before anything is signed. Used by the publisher's thread alone.
 */
#ifndef STELE_LOG_TREE_H
#define STELE_LOG_TREE_H

#include "lib/head.h"
#include "log/store.h"

struct tree {
    struct store *store;
    struct frontier frontier; /* recomputed from the entries */
    struct tile_cache cache;
};

/* Takes the right edge of the first `size` entries from the tiles: of a head that was signed, and checked, before. */
enum err tree_load(struct tree *tree, uint64_t size, struct why *why);
/* Reads the entries from the frontier's size to `size` back, and gives the head. ERR_ENV also where the entries do not hash to
 * what the tiles say. */
enum err tree_recompute(struct tree *tree, uint64_t size, struct head *head, struct why *why);
/* The root that the tiles give for `size` entries. */
enum err tree_root(struct tree *tree, uint64_t size, struct hash *root, struct why *why);
/* Consistency of the trees of `old` and `size` entries. */
enum err tree_prove(struct tree *tree, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n,
                    struct why *why);

#endif
