#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/quorum.h"

/* Defines what `lines` says, each "leaf NAME" or "NAME all|any|K MEMBER...", separated by ';'. The first error ends it. */
static enum err define(struct quorum *quorum, const char *lines, bool shared, struct why *why)
{
    struct span rest = span_str(lines), line, name;
    enum err err = OK;
    uint32_t node;
    *quorum = (struct quorum){ .shared_members = shared };
    while (err == OK && rest.len > 0) {
        ptrdiff_t end = span_find(rest, ';');
        size_t len = end < 0 ? rest.len : (size_t)end;
        line = span_cut(rest, 0, len);
        rest = end < 0 ? span_of(NULL, 0) : span_cut(rest, len + 1, rest.len - len - 1);
        assert_true(span_word(&line, &name));
        if (span_is(name, "leaf")) {
            assert_true(span_word(&line, &name));
            err = quorum_leaf(quorum, name, &node, why);
        } else {
            err = quorum_group(quorum, name, line, &node, why);
        }
        if (err == OK)
            assert_int_equal(node, quorum->n - 1);
    }
    return err;
}

static void defined(struct quorum *quorum, const char *lines, bool shared)
{
    struct why why = { "" };
    if (define(quorum, lines, shared, &why) != OK)
        fprintf(stderr, "%s: %s\n", lines, why.text);
    assert_string_equal(why.text, "");
}

static uint32_t node_of(const struct quorum *quorum, const char *name)
{
    int64_t node = quorum_find(quorum, span_str(name));
    assert_true(node >= 0);
    return (uint32_t)node;
}

/* Is `name` satisfied by the leaves whose bits stand in `said`? Asked with and without the flags of every node. */
static bool satisfied(const struct quorum *quorum, const char *name, unsigned said)
{
    bool leaves[32], flags[32] = { false }, alone, out;
    struct why why;
    assert_true(quorum->leaves <= 32 && quorum->n <= 32);
    for (unsigned i = 0; i < 32; i++)
        leaves[i] = (said >> i & 1) != 0;
    assert_int_equal(quorum_satisfied(quorum, node_of(quorum, name), leaves, &alone, NULL, &why), OK);
    assert_int_equal(quorum_satisfied(quorum, node_of(quorum, name), leaves, &out, flags, &why), OK);
    assert_int_equal(alone, out);
    assert_int_equal(flags[node_of(quorum, name)], out);
    return out;
}

static unsigned count(unsigned bits)
{
    unsigned n = 0;
    for (; bits != 0; bits &= bits - 1)
        n++;
    return n;
}

/* Every threshold over four leaves, under every set of them. */
static void thresholds(void **state)
{
    static const struct {
        const char *word;
        unsigned k;
    } words[] = { { "any", 1 }, { "1", 1 }, { "2", 2 }, { "3", 3 }, { "4", 4 }, { "all", 4 } };
    (void)state;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        struct quorum quorum;
        char lines[128];
        snprintf(lines, sizeof lines, "leaf a;leaf b;leaf c;leaf d;g %s a b c d", words[w].word);
        defined(&quorum, lines, false);
        for (unsigned said = 0; said < 16; said++)
            assert_int_equal(satisfied(&quorum, "g", said), count(said) >= words[w].k);
        quorum_free(&quorum);
    }
}

/* Two of three sides, each with a rule of its own, against the rule written out. */
static void nested(void **state)
{
    struct quorum quorum;
    (void)state;
    defined(&quorum, "leaf a;leaf b;leaf c;leaf d;leaf e;leaf f;ab all a b;cde 2 c d e;top 2 ab cde f;over any top", false);
    for (unsigned said = 0; said < 64; said++) {
        bool ab = (said & 3) == 3, cde = count(said >> 2 & 7) >= 2, f = (said >> 5 & 1) != 0;
        assert_int_equal(satisfied(&quorum, "top", said), ab + cde + f >= 2);
        assert_int_equal(satisfied(&quorum, "over", said), ab + cde + f >= 2);
        assert_int_equal(satisfied(&quorum, "f", said), f);
    }
    quorum_free(&quorum);
}

/* Leaves count in the order of their own definition, whatever groups stand between. */
static void leaf_numbers(void **state)
{
    struct quorum quorum;
    (void)state;
    defined(&quorum, "leaf a;g any a;leaf b;h all b;leaf c", false);
    assert_int_equal(quorum.leaves, 3);
    assert_int_equal(quorum.nodes[node_of(&quorum, "c")].leaf, 2);
    assert_true(satisfied(&quorum, "h", 2) && !satisfied(&quorum, "h", 5));
    assert_true(quorum_find(&quorum, span_str("d")) < 0);
    quorum_free(&quorum);
}

static void reaches(void **state)
{
    struct quorum quorum;
    (void)state;
    defined(&quorum, "leaf a;leaf b;leaf c;leaf d;g all a b;h any g c", false);
    for (uint32_t leaf = 0; leaf < 4; leaf++) {
        assert_int_equal(quorum_reaches(&quorum, node_of(&quorum, "h"), leaf), leaf < 3);
        assert_int_equal(quorum_reaches(&quorum, node_of(&quorum, "g"), leaf), leaf < 2);
        assert_int_equal(quorum_reaches(&quorum, node_of(&quorum, "d"), leaf), leaf == 3);
    }
    quorum_free(&quorum);
}

struct refusal {
    const char *wrong, *says, *control;
};

static void refused(const struct refusal *refusals, size_t n, bool shared)
{
    for (size_t i = 0; i < n; i++) {
        struct quorum quorum;
        struct why why = { "" };
        assert_int_equal(define(&quorum, refusals[i].wrong, shared, &why), ERR_MALFORMED);
        if (strstr(why.text, refusals[i].says) == NULL)
            fprintf(stderr, "%s: %s\n", refusals[i].wrong, why.text);
        assert_non_null(strstr(why.text, refusals[i].says));
        quorum_free(&quorum);
        defined(&quorum, refusals[i].control, shared);
        quorum_free(&quorum);
    }
}

static void definitions(void **state)
{
    static const struct refusal cases[] = {
        { "leaf none", "reserved", "leaf None" },
        { "leaf a;none any a", "reserved", "leaf a;none2 any a" },
        { "leaf a;leaf a", "taken", "leaf a;leaf A" },
        { "leaf a;leaf g;g any a", "taken", "leaf a;leaf g;h any a" },
        { "leaf a;g any a;leaf g", "taken", "leaf a;g any a;leaf h" },
        { "leaf a;leaf b;g any a;g any b", "taken", "leaf a;leaf b;g any a;h any b" },
        { "leaf a;g any b;leaf b", "not defined", "leaf a;leaf b;g any b" },
        { "leaf a;g any g", "not defined", "leaf a;g any a" },
        { "leaf a;g any a none", "not defined", "leaf a;g any a" },
        { "leaf a;g", "a group is", "leaf a;g any a" },
        { "leaf a;g any", "no member", "leaf a;g any a" },
        { "leaf a;g a", "no member", "leaf a;g 1 a" },
        { "leaf a;g 0 a", "threshold", "leaf a;g 1 a" },
        { "leaf a;g 2 a", "threshold", "leaf a;leaf b;g 2 a b" },
        { "leaf a;g 01 a", "threshold", "leaf a;g 1 a" },
        { "leaf a;g +1 a", "threshold", "leaf a;g 1 a" },
        { "leaf a;g 4294967297 a", "threshold", "leaf a;g 1 a" },
        { "leaf a;g 18446744073709551617 a", "threshold", "leaf a;g 1 a" },
        { "leaf a;g ALL a", "threshold", "leaf a;g all a" },
        { "leaf a;g 2 a a", "twice", "leaf a;leaf b;g 2 a b" },
    };
    /* tlog-policy: each name is a member of one group at most. */
    static const struct refusal once[] = {
        { "leaf a;leaf b;g any a;h all a b", "member of a group already", "leaf a;leaf b;g any a;h all g b" },
        { "leaf a;g any a;h any g;i any g", "member of a group already", "leaf a;g any a;h any g;i any h" },
    };
    (void)state;
    /* The name stands twice in one group: by tlog-policy it is in a group already; in a trust file, twice in this one. */
    refused(cases, sizeof cases / sizeof *cases, true);
    refused(cases, sizeof cases / sizeof *cases - 1, false);
    refused(once, sizeof once / sizeof *once, false);
}

/* Trust files: a name may stand in several groups, but under one quorum line it is reached once. */
static void reach_once(void **state)
{
    static const struct {
        const char *lines, *node;
        bool once;
    } cases[] = {
        { "leaf a;leaf b;g any a;h all a b", "g", true },
        { "leaf a;leaf b;g any a;h all a b", "h", true },
        { "leaf a;leaf b;g any a;h all a b;top any g h", "top", false },
        { "leaf a;leaf b;leaf c;g any a;h all c b;top any g h", "top", true },
        { "leaf a;g any a;h all g a", "h", false },
        { "leaf a;g any a;h all g", "h", true },
        { "leaf a;leaf b;g any a;h any g b;i any g;top all h i", "top", false },
        { "leaf a;leaf b;g any a;h any g b;i any g;top all h i", "h", true },
        { "leaf a;leaf b;g any a;h any g b;i any g;top all h i", "i", true },
        { "leaf a;leaf b;g any a;h any g b;i any g;top all h i", "a", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quorum quorum;
        struct why why = { "" };
        defined(&quorum, cases[i].lines, true);
        assert_int_equal(quorum_reach_once(&quorum, node_of(&quorum, cases[i].node), &why), cases[i].once ? OK : ERR_MALFORMED);
        assert_int_equal(strstr(why.text, "more than one way") == NULL, cases[i].once);
        quorum_free(&quorum);
    }
}

/* Ways double with every level: they are not added up beyond what a number holds. */
static void many_ways(void **state)
{
    struct buf lines = BUF_EMPTY;
    struct quorum quorum;
    struct why why;
    (void)state;
    buf_str(&lines, "leaf n0");
    for (unsigned i = 1; i <= 70; i++)
        buf_fmt(&lines, ";x%u any n%u;y%u any n%u;n%u all x%u y%u", i, i - 1, i, i - 1, i, i, i);
    buf_byte(&lines, '\0');
    assert_int_equal(buf_done(&lines, &why), OK);
    defined(&quorum, (const char *)lines.data, true);
    assert_int_equal(quorum_reach_once(&quorum, node_of(&quorum, "n70"), &why), ERR_MALFORMED);
    assert_int_equal(quorum_reach_once(&quorum, node_of(&quorum, "x1"), &why), OK);
    assert_true(quorum_reaches(&quorum, node_of(&quorum, "n70"), 0));
    quorum_free(&quorum);
    buf_free(&lines);
}

/* The rule as tlog-policy states it, recursive: the model. */
static bool model(const struct quorum *quorum, uint32_t node, unsigned said)
{
    const struct quorum_node *at = &quorum->nodes[node];
    if (!at->group)
        return (said >> at->leaf & 1) != 0;
    unsigned yes = 0;
    for (uint32_t m = 0; m < at->members; m++)
        yes += model(quorum, quorum->members[at->first_member + m], said);
    return yes >= at->threshold;
}

static unsigned as_bits(const bool flags[8])
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= (unsigned)flags[i] << i;
    return bits;
}

/* Two disjoint sets that both satisfy the top: found exactly where there are any, and they are what they are said to be. */
static void expect_disjoint(const struct quorum *quorum)
{
    bool one[8] = { false }, other[8] = { false }, found, there = false;
    struct why why;
    for (unsigned said = 0; said < 1u << 8 && !there; said++)
        there = model(quorum, quorum->n - 1, said) && model(quorum, quorum->n - 1, ~said & 255);
    assert_int_equal(quorum_disjoint(quorum, quorum->n - 1, one, other, &found, &why), OK);
    assert_int_equal(found, there);
    assert_int_equal(as_bits(one) & as_bits(other), 0);
    assert_int_equal(found, model(quorum, quorum->n - 1, as_bits(one)));
    assert_int_equal(found, model(quorum, quorum->n - 1, as_bits(other)));
}

/* Random groups over eight leaves, each name in one group at most; every set of leaves against the model. */
static void random_quorums(void **state)
{
    enum { TREES = 300, LEAVES = 8 };
    unsigned seed = (unsigned)time(NULL);
    (void)state;
    printf("# quorum: %d random ones, seed %u\n", TREES, seed);
    for (unsigned t = 0; t < TREES; t++) {
        struct quorum quorum;
        struct buf lines = BUF_EMPTY;
        char free_names[32][8];
        unsigned n = 0, groups = 0;
        struct why why;
        for (; n < LEAVES; n++) {
            snprintf(free_names[n], sizeof free_names[n], "w%u", n);
            buf_fmt(&lines, "%sleaf w%u", n > 0 ? ";" : "", n);
        }
        while (n > 1) {
            unsigned members = 1 + (unsigned)rand_r(&seed) % (n > 4 ? 4 : n);
            if (members == 1 && groups > LEAVES)
                members = 2;
            buf_fmt(&lines, ";g%u %u", groups, 1 + (unsigned)rand_r(&seed) % members);
            for (unsigned m = 0; m < members; m++) {
                unsigned pick = (unsigned)rand_r(&seed) % n--;
                buf_fmt(&lines, " %s", free_names[pick]);
                memmove(free_names[pick], free_names[n], sizeof free_names[n]);
            }
            snprintf(free_names[n++], sizeof free_names[0], "g%u", groups++);
        }
        buf_byte(&lines, '\0');
        assert_int_equal(buf_done(&lines, &why), OK);
        defined(&quorum, (const char *)lines.data, false);
        assert_int_equal(quorum_reach_once(&quorum, quorum.n - 1, &why), OK);
        for (unsigned said = 0; said < 1u << LEAVES; said++)
            assert_int_equal(satisfied(&quorum, free_names[0], said), model(&quorum, quorum.n - 1, said));
        expect_disjoint(&quorum);
        quorum_free(&quorum);
        buf_free(&lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds), cmocka_unit_test(nested),         cmocka_unit_test(leaf_numbers),
        cmocka_unit_test(reaches),    cmocka_unit_test(definitions),    cmocka_unit_test(reach_once),
        cmocka_unit_test(many_ways),  cmocka_unit_test(random_quorums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
