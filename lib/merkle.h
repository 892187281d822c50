/*
 * RFC 6962 section 2.1: Merkle tree hashes, inclusion and consistency proofs over SHA-256.
 *
 * A stored node (level, index) is the root of the perfect subtree over leaves [index << level, (index + 1) << level).
 * Each proof has a planning function, which names the stored nodes it needs, and a hashing function of the same shape,
 * which turns their hashes into the proof; a `hash_reader` joins the two. No recursion, no allocation.
 * A tree has at most 2^63 - 1 leaves.
 */
#ifndef STELE_MERKLE_H
#define STELE_MERKLE_H

#include "lib/hash.h"
#include "lib/limits.h"

#define TREE_SIZE_MAX ((uint64_t)INT64_MAX)

/* A proof of n hashes needs at most this many stored nodes: each of its subtrees is perfect but one. */
enum { MERKLE_PLAN_MAX = 192 };

struct node {
    uint8_t level;
    uint64_t index;
};

/* Reads the hashes of `n` stored nodes, in order. ERR_ENV or ERR_MALFORMED where one cannot be had. */
struct hash_reader {
    enum err (*read)(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why);
    void *ctx;
};

struct hash merkle_empty_root(void);
struct hash merkle_leaf_hash(struct span entry);
struct hash merkle_node_hash(const struct hash *left, const struct hash *right);

/* The root of a tree of `size` leaves. */
size_t merkle_root_plan(uint64_t size, struct node out[MERKLE_PLAN_MAX]);
struct hash merkle_root_hash(uint64_t size, const struct hash *planned);
enum err merkle_root(uint64_t size, const struct hash_reader *reader, struct hash *out, struct why *why);

/* Inclusion of leaf `index` in a tree of `size` leaves; index < size. The number of proof hashes is returned. */
size_t merkle_inclusion_plan(uint64_t index, uint64_t size, struct node out[MERKLE_PLAN_MAX]);
size_t merkle_inclusion_hash(uint64_t index, uint64_t size, const struct hash *planned, struct hash proof[PROOF_HASHES_MAX]);
enum err merkle_inclusion_prove(uint64_t index, uint64_t size, const struct hash_reader *reader,
                                struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why);
/* ERR_REFUSED where the proof does not hold, for any reason: its length, index >= size, a wrong root. */
enum err merkle_inclusion_verify(const struct hash *leaf, uint64_t index, uint64_t size, const struct hash *proof, size_t n,
                                 const struct hash *root, struct why *why);

/* Consistency of a tree of `old` leaves with one of `size`; old <= size. Empty where old is 0 or old == size. Beyond 2^62
 * leaves a proof may need 64 hashes, one more than tlog-witness allows: _prove refuses that, _hash must not be asked. */
size_t merkle_consistency_plan(uint64_t old, uint64_t size, struct node out[MERKLE_PLAN_MAX]);
size_t merkle_consistency_hash(uint64_t old, uint64_t size, const struct hash *planned, struct hash proof[PROOF_HASHES_MAX]);
enum err merkle_consistency_prove(uint64_t old, uint64_t size, const struct hash_reader *reader,
                                  struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why);
/* As c2sp.org/tlog-witness demands: from size 0 the proof is empty (and old_root is the empty tree's); at equal sizes it
 * is empty and the roots are equal. ERR_REFUSED otherwise. */
enum err merkle_consistency_verify(uint64_t old, const struct hash *old_root, uint64_t size, const struct hash *root,
                                   const struct hash *proof, size_t n, struct why *why);

/* The right edge of a growing tree: the roots of its perfect subtrees, largest first. Appending costs one leaf and on
 * average one node hash. */
struct frontier {
    uint64_t size;
    struct hash peaks[64];
};
void frontier_start(struct frontier *frontier); /* an empty tree */
void frontier_append(struct frontier *frontier, const struct hash *leaf);
struct hash frontier_root(const struct frontier *frontier);
/* The frontier of an existing tree of `size` leaves; its peaks are the nodes that merkle_root_plan names. */
enum err frontier_load(struct frontier *frontier, uint64_t size, const struct hash_reader *reader, struct why *why);

#endif
