#include "lib/merkle.h"

/* Leaves [from, to): a subtree of RFC 6962's split; perfect but for at most one in any proof, at the tree's right edge. */
struct range {
    uint64_t from, to;
};

struct ranges {
    struct range items[PROOF_HASHES_MAX + 1];
    size_t n;
};

struct hash merkle_empty_root(void)
{
    return sha256_of(span_of(NULL, 0));
}

struct hash merkle_leaf_hash(struct span entry)
{
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, "\x00", 1);
    sha256_add(&state, entry.data, entry.len);
    return sha256_end(&state);
}

struct hash merkle_node_hash(const struct hash *left, const struct hash *right)
{
    uint8_t bytes[65];
    bytes[0] = 1;
    memcpy(bytes + 1, left->b, 32);
    memcpy(bytes + 33, right->b, 32);
    return sha256_of(span_of(bytes, sizeof bytes));
}

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    uint64_t k = 1;
    while (k < n - k)
        k *= 2;
    return k;
}

/* The perfect subtrees of a range, left to right: the ones in the binary form of its length. */
static size_t plan_range(struct range range, struct node *out)
{
    size_t n = 0;
    for (unsigned level = 64; level-- > 0;) {
        if ((range.to - range.from) >> level == 0)
            continue;
        out[n++] = (struct node){ (uint8_t)level, range.from >> level };
        range.from += UINT64_C(1) << level;
        if (range.from == range.to)
            break;
    }
    return n;
}

/* The hash of a range from the hashes of its perfect subtrees; *used of them. */
static struct hash hash_range(struct range range, const struct hash *planned, size_t *used)
{
    size_t n = 0;
    for (uint64_t bits = range.to - range.from; bits != 0; bits &= bits - 1)
        n++;
    *used = n;
    struct hash hash = planned[n - 1];
    while (--n > 0)
        hash = merkle_node_hash(&planned[n - 1], &hash);
    return hash;
}

static size_t plan_ranges(const struct ranges *ranges, struct node *out)
{
    size_t n = 0;
    for (size_t i = 0; i < ranges->n; i++)
        n += plan_range(ranges->items[i], out + n);
    return n;
}

static size_t hash_ranges(const struct ranges *ranges, const struct hash *planned, struct hash *proof)
{
    for (size_t i = 0; i < ranges->n; i++) {
        size_t used;
        proof[i] = hash_range(ranges->items[i], planned, &used);
        planned += used;
    }
    return ranges->n;
}

static void reverse(struct ranges *ranges)
{
    for (size_t i = 0; i < ranges->n / 2; i++) {
        struct range swap = ranges->items[i];
        ranges->items[i] = ranges->items[ranges->n - 1 - i];
        ranges->items[ranges->n - 1 - i] = swap;
    }
}

static enum err read_planned(const struct hash_reader *reader, const struct node *nodes, size_t n, struct hash *planned,
                             struct why *why)
{
    return n == 0 ? OK : reader->read(reader->ctx, nodes, n, planned, why);
}

size_t merkle_root_plan(uint64_t size, struct node out[MERKLE_PLAN_MAX])
{
    return size == 0 ? 0 : plan_range((struct range){ 0, size }, out);
}

struct hash merkle_root_hash(uint64_t size, const struct hash *planned)
{
    size_t used;
    return size == 0 ? merkle_empty_root() : hash_range((struct range){ 0, size }, planned, &used);
}

enum err merkle_root(uint64_t size, const struct hash_reader *reader, struct hash *out, struct why *why)
{
    struct node nodes[MERKLE_PLAN_MAX];
    struct hash planned[MERKLE_PLAN_MAX];
    enum err err = read_planned(reader, nodes, merkle_root_plan(size, nodes), planned, why);
    if (err == OK)
        *out = merkle_root_hash(size, planned);
    return err;
}

/* From the root down to the leaf, each sibling passed by; a proof lists them from the leaf up. */
static void inclusion_ranges(uint64_t index, uint64_t size, struct ranges *out)
{
    struct range at = { 0, size };
    out->n = 0;
    while (at.to - at.from > 1) {
        uint64_t middle = at.from + split(at.to - at.from);
        bool left = index < middle;
        out->items[out->n++] = left ? (struct range){ middle, at.to } : (struct range){ at.from, middle };
        at = left ? (struct range){ at.from, middle } : (struct range){ middle, at.to };
    }
    reverse(out);
}

size_t merkle_inclusion_plan(uint64_t index, uint64_t size, struct node out[MERKLE_PLAN_MAX])
{
    struct ranges ranges;
    inclusion_ranges(index, size, &ranges);
    return plan_ranges(&ranges, out);
}

size_t merkle_inclusion_hash(uint64_t index, uint64_t size, const struct hash *planned, struct hash proof[PROOF_HASHES_MAX])
{
    struct ranges ranges;
    inclusion_ranges(index, size, &ranges);
    return hash_ranges(&ranges, planned, proof);
}

enum err merkle_inclusion_prove(uint64_t index, uint64_t size, const struct hash_reader *reader,
                                struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why)
{
    struct node nodes[MERKLE_PLAN_MAX];
    struct hash planned[MERKLE_PLAN_MAX];
    enum err err = read_planned(reader, nodes, merkle_inclusion_plan(index, size, nodes), planned, why);
    if (err == OK)
        *n = merkle_inclusion_hash(index, size, planned, proof);
    return err;
}

enum err merkle_inclusion_verify(const struct hash *leaf, uint64_t index, uint64_t size, const struct hash *proof, size_t n,
                                 const struct hash *root, struct why *why)
{
    if (index >= size || size > TREE_SIZE_MAX)
        return fail(why, ERR_REFUSED, "index %llu is not in a tree of %llu entries", (unsigned long long)index,
                    (unsigned long long)size);
    uint64_t at = index, last = size - 1;
    struct hash hash = *leaf;
    for (size_t i = 0; i < n; i++) {
        if (last == 0)
            return fail(why, ERR_REFUSED, "the inclusion proof is too long: %zu hashes", n);
        if ((at & 1) != 0 || at == last) {
            hash = merkle_node_hash(&proof[i], &hash);
            for (; (at & 1) == 0 && at != 0; at >>= 1)
                last >>= 1;
        } else {
            hash = merkle_node_hash(&hash, &proof[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    if (last != 0)
        return fail(why, ERR_REFUSED, "the inclusion proof is too short: %zu hashes", n);
    if (!hash_eq(&hash, root))
        return fail(why, ERR_REFUSED, "the inclusion proof does not lead to the checkpoint's root");
    return OK;
}

/* As RFC 6962's SUBPROOF: the old tree's right edge is walked to, what lies beside the way is listed, and, where the way
 * turned right, the old tree's last subtree first. */
static void consistency_ranges(uint64_t old, uint64_t size, struct ranges *out)
{
    struct range at = { 0, size };
    out->n = 0;
    if (old == 0)
        return;
    while (at.to != old) {
        uint64_t middle = at.from + split(at.to - at.from);
        bool left = old <= middle;
        out->items[out->n++] = left ? (struct range){ middle, at.to } : (struct range){ at.from, middle };
        at = left ? (struct range){ at.from, middle } : (struct range){ middle, at.to };
    }
    if (at.from != 0)
        out->items[out->n++] = at;
    reverse(out);
}

size_t merkle_consistency_plan(uint64_t old, uint64_t size, struct node out[MERKLE_PLAN_MAX])
{
    struct ranges ranges;
    consistency_ranges(old, size, &ranges);
    return plan_ranges(&ranges, out);
}

size_t merkle_consistency_hash(uint64_t old, uint64_t size, const struct hash *planned, struct hash proof[PROOF_HASHES_MAX])
{
    struct ranges ranges;
    consistency_ranges(old, size, &ranges);
    return hash_ranges(&ranges, planned, proof);
}

enum err merkle_consistency_prove(uint64_t old, uint64_t size, const struct hash_reader *reader,
                                  struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why)
{
    struct node nodes[MERKLE_PLAN_MAX];
    struct hash planned[MERKLE_PLAN_MAX];
    struct ranges ranges;
    consistency_ranges(old, size, &ranges);
    if (ranges.n > PROOF_HASHES_MAX)
        return fail(why, ERR_REFUSED, "a consistency proof of %zu hashes: tlog-witness allows %d, enough for 2^62 entries",
                    ranges.n, PROOF_HASHES_MAX);
    enum err err = read_planned(reader, nodes, plan_ranges(&ranges, nodes), planned, why);
    if (err == OK)
        *n = hash_ranges(&ranges, planned, proof);
    return err;
}

/* RFC 9162 section 2.1.4.2, for 0 < old < size. */
static enum err consistency_walk(uint64_t old, const struct hash *old_root, uint64_t size, const struct hash *root,
                                 const struct hash *proof, size_t n, struct why *why)
{
    uint64_t at = old - 1, last = size - 1;
    for (; (at & 1) != 0; at >>= 1)
        last >>= 1;
    /* An old tree that is perfect stands in the new one as it is: the proof leaves it out. */
    bool perfect = at == 0;
    if (!perfect && n == 0)
        return fail(why, ERR_REFUSED, "the consistency proof is empty");
    struct hash from = perfect ? *old_root : proof[0], to = from;
    for (size_t i = perfect ? 0 : 1; i < n; i++) {
        if (last == 0)
            return fail(why, ERR_REFUSED, "the consistency proof is too long: %zu hashes", n);
        if ((at & 1) != 0 || at == last) {
            from = merkle_node_hash(&proof[i], &from);
            to = merkle_node_hash(&proof[i], &to);
            for (; (at & 1) == 0 && at != 0; at >>= 1)
                last >>= 1;
        } else {
            to = merkle_node_hash(&to, &proof[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    if (last != 0)
        return fail(why, ERR_REFUSED, "the consistency proof is too short: %zu hashes", n);
    if (!hash_eq(&from, old_root) || !hash_eq(&to, root))
        return fail(why, ERR_REFUSED, "the consistency proof from %llu to %llu entries does not lead to the %s root",
                    (unsigned long long)old, (unsigned long long)size, hash_eq(&from, old_root) ? "new" : "old");
    return OK;
}

enum err merkle_consistency_verify(uint64_t old, const struct hash *old_root, uint64_t size, const struct hash *root,
                                   const struct hash *proof, size_t n, struct why *why)
{
    struct hash empty = merkle_empty_root();
    if (old > size || size > TREE_SIZE_MAX)
        return fail(why, ERR_REFUSED, "no tree of %llu entries grows out of one of %llu", (unsigned long long)size,
                    (unsigned long long)old);
    if ((old == 0 && !hash_eq(old_root, &empty)) || (size == 0 && !hash_eq(root, &empty)))
        return fail(why, ERR_REFUSED, "a tree of no entries has another root than the empty tree's");
    if (old == 0 || old == size) {
        if (n != 0)
            return fail(why, ERR_REFUSED, "the consistency proof from %llu to %llu entries must be empty", (unsigned long long)old,
                        (unsigned long long)size);
        if (old == size && !hash_eq(old_root, root))
            return fail(why, ERR_REFUSED, "two roots for %llu entries", (unsigned long long)size);
        return OK;
    }
    return consistency_walk(old, old_root, size, root, proof, n, why);
}

void frontier_start(struct frontier *frontier)
{
    frontier->size = 0;
}

static unsigned popcount(uint64_t bits)
{
    unsigned n = 0;
    for (; bits != 0; bits &= bits - 1)
        n++;
    return n;
}

void frontier_append(struct frontier *frontier, const struct hash *leaf)
{
    unsigned n = popcount(frontier->size);
    struct hash hash = *leaf;
    /* Each trailing one of the size is a perfect subtree as large as the one that the new leaf has just completed. */
    for (uint64_t bits = frontier->size; (bits & 1) != 0; bits >>= 1)
        hash = merkle_node_hash(&frontier->peaks[--n], &hash);
    frontier->peaks[n] = hash;
    frontier->size++;
}

struct hash frontier_root(const struct frontier *frontier)
{
    return merkle_root_hash(frontier->size, frontier->peaks);
}

enum err frontier_load(struct frontier *frontier, uint64_t size, const struct hash_reader *reader, struct why *why)
{
    struct node nodes[MERKLE_PLAN_MAX];
    frontier->size = size;
    return read_planned(reader, nodes, merkle_root_plan(size, nodes), frontier->peaks, why);
}
