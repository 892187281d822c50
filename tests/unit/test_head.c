#include "tests/unit/support.h"

#include <stdio.h>

#include "lib/head.h"

enum { LEAVES = 64, GROWTH_MAX = 20 };

static struct hash leaves[LEAVES];

static struct hash root_of(uint64_t from, uint64_t to)
{
    struct frontier frontier;
    frontier_start(&frontier);
    for (uint64_t i = from; i < to; i++)
        frontier_append(&frontier, &leaves[i]);
    return frontier_root(&frontier);
}

static enum err read_leaves(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = root_of(nodes[i].index << nodes[i].level, (nodes[i].index + 1) << nodes[i].level);
    return OK;
}

static int make_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEAVES; i++) {
        char text[32];
        snprintf(text, sizeof text, "leaf %zu", i);
        leaves[i] = merkle_leaf_hash(span_str(text));
    }
    return 0;
}

/* A question to the rule, right as `ask` makes it, so that each part of it can be made wrong alone. */
struct question {
    struct head last, next;
    uint64_t old, growth_max;
    struct hash proof[PROOF_HASHES_MAX];
    size_t n;
};

static struct question ask(uint64_t from, uint64_t to)
{
    static const struct hash_reader reader = { read_leaves, NULL };
    struct question q = { .last = { from, root_of(0, from) }, .next = { to, root_of(0, to) }, .old = from };
    struct why why;
    assert_int_equal(merkle_consistency_prove(from, to, &reader, q.proof, &q.n, &why), OK);
    return q;
}

/* The verdict, which must not depend on whether somebody wants to know why; all but HEAD_OK say why. */
static enum head_verdict answer(const struct question *q)
{
    struct why why = { "" };
    enum head_verdict verdict = head_follows(&q->last, q->old, &q->next, q->proof, q->n, q->growth_max, &why);
    assert_int_equal(head_follows(&q->last, q->old, &q->next, q->proof, q->n, q->growth_max, NULL), verdict);
    assert_int_equal(why.text[0] == '\0', verdict == HEAD_OK);
    return verdict;
}

static void every_pair_follows(void **state)
{
    (void)state;
    for (uint64_t to = 0; to <= LEAVES; to++)
        for (uint64_t from = 0; from <= to; from++) {
            struct question q = ask(from, to);
            assert_int_equal(answer(&q), HEAD_OK);
        }
}

static void old_above(void **state)
{
    struct question q = ask(5, 9);
    (void)state;
    assert_int_equal(answer(&q), HEAD_OK);
    q.old = 10;
    assert_int_equal(answer(&q), HEAD_OLD_ABOVE);
    /* Looked for before anything else: a roll-back that names our size truly is this, too. */
    q = ask(5, 9);
    struct head swap = q.last;
    q.last = q.next;
    q.next = swap;
    q.old = 9;
    assert_int_equal(answer(&q), HEAD_OLD_ABOVE);
}

static void old_differs(void **state)
{
    struct question q = ask(5, 9);
    (void)state;
    q.old = 9;
    assert_int_equal(answer(&q), HEAD_OLD_DIFFERS);
    q.old = 0;
    assert_int_equal(answer(&q), HEAD_OLD_DIFFERS);
    /* A proof that holds, from a size that is not our last one. */
    q = ask(4, 9);
    assert_int_equal(answer(&q), HEAD_OK);
    q.last = ask(5, 9).last;
    assert_int_equal(answer(&q), HEAD_OLD_DIFFERS);
    /* A roll-back with the older size as `old`: well formed, and not from our last head. */
    q = ask(5, 5);
    assert_int_equal(answer(&q), HEAD_OK);
    q.last = ask(9, 9).last;
    assert_int_equal(answer(&q), HEAD_OLD_DIFFERS);
}

static void empty_root(void **state)
{
    struct question q = ask(0, 0);
    (void)state;
    assert_int_equal(answer(&q), HEAD_OK);
    q.next.root = leaves[0];
    assert_int_equal(answer(&q), HEAD_EMPTY_ROOT);
    /* Even where the same wrong root is what we remember. */
    q.last.root = leaves[0];
    assert_int_equal(answer(&q), HEAD_EMPTY_ROOT);
}

static void root_differs(void **state)
{
    struct question q = ask(7, 7);
    (void)state;
    assert_int_equal(answer(&q), HEAD_OK);
    for (unsigned bit = 0; bit < 256; bit++) {
        q.next.root.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(answer(&q), HEAD_ROOT_DIFFERS);
        q.next.root.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(answer(&q), HEAD_OK);
}

static void proof_bad(void **state)
{
    struct question q = ask(5, 9);
    (void)state;
    assert_true(q.n > 1);
    for (size_t i = 0; i < q.n; i++) {
        q.proof[i].b[31] ^= 1;
        assert_int_equal(answer(&q), HEAD_PROOF_BAD);
        q.proof[i].b[31] ^= 1;
    }
    q.n--;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    q.n += 2;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    q.n = 0;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    /* A fork: a larger tree that does not extend ours, with the proof that is right for the true one. */
    q = ask(5, 9);
    q.next.root = leaves[0];
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    q = ask(5, 9);
    q.last.root = leaves[0];
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    /* Where it must be empty: from nothing, and at the same size. */
    q = ask(0, 9);
    assert_int_equal(answer(&q), HEAD_OK);
    q.n = 1;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    q = ask(9, 9);
    q.n = 1;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
    /* A size that no tree has. */
    q = ask(0, 9);
    q.next.size = TREE_SIZE_MAX;
    assert_int_equal(answer(&q), HEAD_OK);
    q.next.size++;
    assert_int_equal(answer(&q), HEAD_PROOF_BAD);
}

static void too_far(void **state)
{
    struct question q = ask(5, 5 + GROWTH_MAX);
    (void)state;
    q.growth_max = GROWTH_MAX;
    assert_int_equal(answer(&q), HEAD_OK);
    q = ask(5, 5 + GROWTH_MAX + 1);
    assert_int_equal(answer(&q), HEAD_OK); /* 0: no bound */
    q.growth_max = GROWTH_MAX;
    assert_int_equal(answer(&q), HEAD_TOO_FAR);
    /* Counted from the last head, not from nothing; the same head again is no growth. */
    q = ask(LEAVES, LEAVES);
    q.growth_max = 1;
    assert_int_equal(answer(&q), HEAD_OK);
    q = ask(0, 2);
    q.growth_max = 1;
    assert_int_equal(answer(&q), HEAD_TOO_FAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_follows),
        cmocka_unit_test(old_above),
        cmocka_unit_test(old_differs),
        cmocka_unit_test(empty_root),
        cmocka_unit_test(root_differs),
        cmocka_unit_test(proof_bad),
        cmocka_unit_test(too_far),
    };
    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
