#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/merkle.h"

enum { ALL_BITS_MAX = 100, ONE_BIT_MAX = 300 };

static struct hash leaves[ONE_BIT_MAX];

/* RFC 6962 section 2.1 as it stands there, recursive: the model. */
static struct hash model_root(uint64_t from, uint64_t to)
{
    uint64_t split = 1;
    if (to == from)
        return merkle_empty_root();
    if (to - from == 1)
        return leaves[from];
    while (split * 2 < to - from)
        split *= 2;
    struct hash left = model_root(from, from + split), right = model_root(from + split, to);
    return merkle_node_hash(&left, &right);
}

static enum err read_model(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = model_root(nodes[i].index << nodes[i].level, (nodes[i].index + 1) << nodes[i].level);
    return OK;
}

static const struct hash_reader reader = { read_model, NULL };

static int make_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < ONE_BIT_MAX; i++) {
        char text[32];
        snprintf(text, sizeof text, "leaf %zu", i);
        leaves[i] = merkle_leaf_hash(span_str(text));
    }
    return 0;
}

static void roots(void **state)
{
    struct frontier frontier, loaded;
    struct why why;
    (void)state;
    frontier_start(&frontier);
    for (uint64_t size = 0; size <= ONE_BIT_MAX; size++) {
        struct hash expected = model_root(0, size), root = frontier_root(&frontier);
        assert_true(hash_eq(&root, &expected));
        assert_int_equal(merkle_root(size, &reader, &root, &why), OK);
        assert_true(hash_eq(&root, &expected));
        assert_int_equal(frontier_load(&loaded, size, &reader, &why), OK);
        root = frontier_root(&loaded);
        assert_true(hash_eq(&root, &expected));
        if (size < ONE_BIT_MAX)
            frontier_append(&frontier, &leaves[size]);
    }
}

static void flip(struct hash *hash, unsigned bit)
{
    hash->b[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* What a proof is verified with, so that any part of it can be changed. */
struct case_of {
    uint64_t a, size;        /* index or old size */
    struct hash first, root; /* leaf or old root */
    struct hash proof[PROOF_HASHES_MAX];
    size_t n;
    bool consistency;
};

static bool holds(const struct case_of *c)
{
    return (c->consistency ? merkle_consistency_verify(c->a, &c->first, c->size, &c->root, c->proof, c->n, NULL)
                           : merkle_inclusion_verify(&c->first, c->a, c->size, c->proof, c->n, &c->root, NULL)) == OK;
}

static void refuse_bit(struct case_of *c, struct hash *hash, unsigned bit)
{
    flip(hash, bit);
    assert_false(holds(c));
    flip(hash, bit);
}

/* Right as it is; wrong with any bit of any hash changed (or one bit a hash), too short, or too long. */
static void check_case(struct case_of *c, bool all_bits, unsigned *seed)
{
    assert_true(holds(c));
    for (size_t h = 0; h < c->n + 2; h++) {
        struct hash *hash = h < c->n ? &c->proof[h] : h == c->n ? &c->first : &c->root;
        /* From nothing everything is consistent: no hash is looked at but the empty tree's. */
        if (c->consistency && c->a == 0 && h == c->n + 1)
            continue;
        for (unsigned bit = 0; bit < 256 && all_bits; bit++)
            refuse_bit(c, hash, bit);
        if (!all_bits)
            refuse_bit(c, hash, (unsigned)rand_r(seed) % 256);
    }
    if (c->n < PROOF_HASHES_MAX) {
        c->proof[c->n++] = c->root;
        assert_false(holds(c));
        c->n--;
    }
    if (c->n > 0) {
        c->n--;
        assert_false(holds(c));
        c->n++;
    }
}

static struct case_of inclusion_case(uint64_t index, uint64_t size)
{
    struct case_of c = { .a = index, .size = size, .first = leaves[index], .root = model_root(0, size) };
    struct why why;
    assert_int_equal(merkle_inclusion_prove(index, size, &reader, c.proof, &c.n, &why), OK);
    return c;
}

static struct case_of consistency_case(uint64_t old, uint64_t size)
{
    struct case_of c = { .a = old, .size = size, .first = model_root(0, old), .root = model_root(0, size), .consistency = true };
    struct why why;
    assert_int_equal(merkle_consistency_prove(old, size, &reader, c.proof, &c.n, &why), OK);
    return c;
}

/* All sizes to 100, every bit. */
static void every_bit(void **state)
{
    (void)state;
    size_t proofs = 0;
    for (uint64_t size = 1; size <= ALL_BITS_MAX; size++)
        for (uint64_t a = 0; a <= size; a++) {
            struct case_of c;
            if (a < size) {
                c = inclusion_case(a, size);
                check_case(&c, true, NULL);
                proofs++;
            }
            c = consistency_case(a, size);
            check_case(&c, true, NULL);
            proofs++;
        }
    printf("# merkle: %zu proofs, every bit of every hash\n", proofs);
}

static void one_bit_each(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    (void)state;
    printf("# merkle: one random bit of every hash, seed %u\n", seed);
    for (uint64_t size = ALL_BITS_MAX + 1; size <= ONE_BIT_MAX; size++)
        for (uint64_t a = 0; a <= size; a++) {
            struct case_of c;
            if (a < size) {
                c = inclusion_case(a, size);
                check_case(&c, false, &seed);
            }
            c = consistency_case(a, size);
            check_case(&c, false, &seed);
        }
}

/* A tree too large to have: every leaf is the same but one, so the hash of a stored node follows from its level and from
 * whether that leaf lies below it. */
struct huge {
    uint64_t odd; /* the leaf that differs */
    size_t nodes; /* the most that were asked for at once */
};

static enum err read_huge(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    struct huge *huge = ctx;
    (void)why;
    if (n > huge->nodes)
        huge->nodes = n;
    for (size_t i = 0; i < n; i++) {
        bool odd = huge->odd >> nodes[i].level == nodes[i].index;
        struct hash same = leaves[0];
        out[i] = odd ? leaves[1] : same;
        for (unsigned level = 0; level < nodes[i].level; level++) {
            bool right = (huge->odd >> level & 1) != 0;
            out[i] = !odd    ? merkle_node_hash(&same, &same)
                     : right ? merkle_node_hash(&same, &out[i])
                             : merkle_node_hash(&out[i], &same);
            same = merkle_node_hash(&same, &same);
        }
    }
    return OK;
}

static void huge_inclusion(uint64_t index, uint64_t size, struct huge *huge, unsigned *seed)
{
    const struct hash_reader in_huge = { read_huge, huge };
    struct case_of c = { .a = index, .size = size, .first = leaves[1] };
    struct why why;
    huge->odd = index;
    assert_int_equal(merkle_root(size, &in_huge, &c.root, &why), OK);
    assert_int_equal(merkle_inclusion_prove(index, size, &in_huge, c.proof, &c.n, &why), OK);
    check_case(&c, false, seed);
}

/* How many hashes SUBPROOF(old, D[size], whole) of RFC 6962 section 2.1.2 has. */
static size_t model_length(uint64_t old, uint64_t size, bool whole)
{
    uint64_t split = 1;
    if (old == size)
        return whole ? 0 : 1;
    while (split < size - split)
        split *= 2;
    return 1 + (old <= split ? model_length(old, split, whole) : model_length(old - split, size - split, false));
}

/* The proof holds where it has at most 63 hashes, and is refused where it would have 64. The length that it has. */
static size_t huge_consistency(uint64_t old, uint64_t size, struct huge *huge, unsigned *seed)
{
    const struct hash_reader in_huge = { read_huge, huge };
    struct case_of c = { .a = old, .size = size, .consistency = true };
    struct node nodes[MERKLE_PLAN_MAX];
    struct why why;
    huge->odd = old == 0 ? 0 : old - 1;
    assert_int_equal(merkle_root(old, &in_huge, &c.first, &why), OK);
    assert_int_equal(merkle_root(size, &in_huge, &c.root, &why), OK);
    size_t planned = merkle_consistency_plan(old, size, nodes);
    if (planned > huge->nodes)
        huge->nodes = planned;
    size_t length = old == 0 ? 0 : model_length(old, size, true);
    enum err err = merkle_consistency_prove(old, size, &in_huge, c.proof, &c.n, &why);
    assert_int_equal(err, length <= PROOF_HASHES_MAX ? OK : ERR_REFUSED);
    if (err == OK) {
        assert_int_equal(c.n, length);
        check_case(&c, false, seed);
    }
    return length;
}

/* The largest trees: proofs hold, plans stay within their bound, and a proof of 64 hashes is refused. */
static void largest_trees(void **state)
{
    const uint64_t half = UINT64_C(1) << 62;
    const uint64_t sizes[] = { TREE_SIZE_MAX, TREE_SIZE_MAX - 1, half, half - 1, half + 1, UINT64_C(0x5555555555555555) };
    struct huge huge = { 0 };
    unsigned seed = (unsigned)time(NULL);
    (void)state;
    printf("# merkle: the largest trees, seed %u\n", seed);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint64_t size = sizes[s], points[] = { 0, 1, size / 2, size / 3, size - 2, size - 1 };
        for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
            huge_inclusion(points[p], size, &huge, &seed);
            huge_consistency(points[p], size, &huge, &seed);
        }
    }
    /* As many stored nodes as a proof can need: into the last pair of the left half, beside the ragged right half. */
    assert_int_equal(huge_consistency(half - 1, TREE_SIZE_MAX, &huge, &seed), PROOF_HASHES_MAX + 1);
    assert_int_equal(huge.nodes, 62 + 63);
    assert_int_equal(huge_consistency(half - 2, TREE_SIZE_MAX, &huge, &seed), PROOF_HASHES_MAX);
    assert_int_equal(huge_consistency(half - 1, half, &huge, &seed), PROOF_HASHES_MAX);
}

static void refusals(void **state)
{
    struct case_of c = inclusion_case(3, 8);
    struct hash empty = merkle_empty_root();
    (void)state;
    assert_true(holds(&c));
    c.a = 8;
    assert_false(holds(&c));
    c.a = 4;
    assert_false(holds(&c));
    c = consistency_case(3, 8);
    assert_true(holds(&c));
    c.a = 9;
    assert_false(holds(&c));
    /* From nothing: the proof is empty, and the old root the empty tree's. */
    assert_int_equal(merkle_consistency_verify(0, &empty, 5, &c.root, NULL, 0, NULL), OK);
    assert_int_equal(merkle_consistency_verify(0, &c.root, 5, &c.root, NULL, 0, NULL), ERR_REFUSED);
    assert_int_equal(merkle_consistency_verify(0, &empty, 5, &c.root, c.proof, 1, NULL), ERR_REFUSED);
    assert_int_equal(merkle_consistency_verify(0, &empty, 0, &empty, NULL, 0, NULL), OK);
    assert_int_equal(merkle_consistency_verify(0, &empty, 0, &c.root, NULL, 0, NULL), ERR_REFUSED);
    assert_int_equal(merkle_consistency_verify(8, &c.root, 8, &c.root, NULL, 0, NULL), OK);
    assert_int_equal(merkle_consistency_verify(8, &c.root, 8, &c.first, NULL, 0, NULL), ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots),         cmocka_unit_test(every_bit), cmocka_unit_test(one_bit_each),
        cmocka_unit_test(largest_trees), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
