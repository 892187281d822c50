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
        for (uint64_t a = 0; a <= size; a += 1 + (uint64_t)rand_r(&seed) % 7) {
            struct case_of c;
            if (a < size) {
                c = inclusion_case(a, size);
                check_case(&c, false, &seed);
            }
            c = consistency_case(a, size);
            check_case(&c, false, &seed);
        }
}

/* A stored node stands for itself: with a hash for every coordinate, plans of huge trees can be walked. */
static enum err read_coordinates(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)why;
    assert_true(n <= MERKLE_PLAN_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = sha256_of(span_of(&nodes[i].index, sizeof nodes[i].index));
    return OK;
}

/* The largest trees: plans stay within their bound, and proofs within 63 hashes. */
static void largest_trees(void **state)
{
    static const struct hash_reader coordinates = { read_coordinates, NULL };
    static const uint64_t sizes[] = { TREE_SIZE_MAX, TREE_SIZE_MAX - 1, UINT64_C(1) << 62, (UINT64_C(1) << 62) + 1,
                                      UINT64_C(0x5555555555555555) };
    struct hash proof[PROOF_HASHES_MAX];
    struct why why;
    size_t n;
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint64_t points[] = { 0, 1, sizes[s] / 2, sizes[s] / 3, sizes[s] - 1 };
        for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
            assert_int_equal(merkle_inclusion_prove(points[p], sizes[s], &coordinates, proof, &n, &why), OK);
            assert_true(n <= PROOF_HASHES_MAX);
            /* A proof of 64 hashes is refused, and nothing written behind the 63rd. */
            enum err err = merkle_consistency_prove(points[p], sizes[s], &coordinates, proof, &n, &why);
            assert_true(err == ERR_REFUSED ? sizes[s] > UINT64_C(1) << 62 : err == OK && n <= PROOF_HASHES_MAX);
        }
    }
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
