#include "lib/quorum.h"

#include <stdlib.h>

void quorum_free(struct quorum *quorum)
{
    free(quorum->nodes);
    free(quorum->members);
    *quorum = (struct quorum){ 0 };
}

int64_t quorum_find(const struct quorum *quorum, struct span name)
{
    for (uint32_t i = 0; i < quorum->n; i++)
        if (span_eq(quorum->nodes[i].name, name))
            return i;
    return -1;
}

static enum err add_node(struct quorum *quorum, struct span name, uint32_t *node, struct why *why)
{
    if (span_is(name, "none"))
        return fail(why, ERR_MALFORMED, "`none` is a reserved name");
    if (quorum_find(quorum, name) >= 0)
        return fail(why, ERR_MALFORMED, "the name %.*s is taken already", SPAN_FMT(name));
    struct quorum_node *nodes = array_more(quorum->nodes, quorum->n, sizeof *nodes);
    if (nodes == NULL)
        return fail(why, ERR_ENV, "out of memory");
    quorum->nodes = nodes;
    *node = quorum->n++;
    quorum->nodes[*node] = (struct quorum_node){ .name = name };
    return OK;
}

enum err quorum_leaf(struct quorum *quorum, struct span name, uint32_t *node, struct why *why)
{
    enum err err = add_node(quorum, name, node, why);
    if (err == OK)
        quorum->nodes[*node].leaf = quorum->leaves++;
    return err;
}

static enum err add_member(struct quorum *quorum, struct span name, uint32_t first, struct why *why)
{
    int64_t member = quorum_find(quorum, name);
    if (member < 0)
        return fail(why, ERR_MALFORMED, "%.*s is not defined on a line before", SPAN_FMT(name));
    if (quorum->nodes[member].is_member && !quorum->shared_members)
        return fail(why, ERR_MALFORMED, "%.*s is a member of a group already (tlog-policy, \"Defining a witness group\")",
                    SPAN_FMT(name));
    for (uint32_t i = first; i < quorum->members_n; i++)
        if (quorum->members[i] == (uint32_t)member)
            return fail(why, ERR_MALFORMED, "%.*s stands in the group twice", SPAN_FMT(name));
    uint32_t *members = array_more(quorum->members, quorum->members_n, sizeof *members);
    if (members == NULL)
        return fail(why, ERR_ENV, "out of memory");
    quorum->members = members;
    quorum->members[quorum->members_n++] = (uint32_t)member;
    quorum->nodes[member].is_member = true;
    return OK;
}

enum err quorum_group(struct quorum *quorum, struct span name, struct span words, uint32_t *node, struct why *why)
{
    struct span threshold, word;
    uint64_t k = 0;
    uint32_t first = quorum->members_n;
    /* The name is looked up before the group is defined: a group cannot be its own member. */
    if (!span_word(&words, &threshold))
        return fail(why, ERR_MALFORMED, "a group is: group NAME all|any|K MEMBER...");
    enum err err = OK;
    while (err == OK && span_word(&words, &word))
        err = add_member(quorum, word, first, why);
    if (err != OK)
        return err;
    uint32_t members = quorum->members_n - first;
    if (members == 0)
        return fail(why, ERR_MALFORMED, "the group %.*s has no member", SPAN_FMT(name));
    if (span_is(threshold, "all"))
        k = members;
    else if (span_is(threshold, "any"))
        k = 1;
    else if (!span_decimal(threshold, members, &k) || k == 0)
        return fail(why, ERR_MALFORMED, "the threshold %.*s is none of all, any or a number from 1 to %u", SPAN_FMT(threshold),
                    members);
    err = add_node(quorum, name, node, why);
    if (err != OK)
        return err;
    struct quorum_node *group = &quorum->nodes[*node];
    group->group = true;
    group->threshold = (uint32_t)k;
    group->first_member = first;
    group->members = members;
    return OK;
}

/* Members are defined before their group: one pass downwards counts in how many ways each node is reached from `node`. */
static enum err count_ways(const struct quorum *quorum, uint32_t node, uint32_t **ways, struct why *why)
{
    *ways = calloc(quorum->n, sizeof **ways);
    if (*ways == NULL)
        return fail(why, ERR_ENV, "out of memory");
    (*ways)[node] = 1;
    for (uint32_t i = node + 1; i-- > 0;) {
        const struct quorum_node *group = &quorum->nodes[i];
        for (uint32_t m = 0; group->group && m < group->members; m++) {
            uint32_t *way = &(*ways)[quorum->members[group->first_member + m]];
            /* More than one way is all that matters; a sum could overflow. */
            *way = *way + (*ways)[i] > 2 ? 2 : *way + (*ways)[i];
        }
    }
    return OK;
}

enum err quorum_reach_once(const struct quorum *quorum, uint32_t node, struct why *why)
{
    uint32_t *ways;
    enum err err = count_ways(quorum, node, &ways, why);
    for (uint32_t i = 0; err == OK && i <= node; i++)
        if (ways[i] > 1)
            err = fail(why, ERR_MALFORMED, "%.*s can be reached from %.*s in more than one way", SPAN_FMT(quorum->nodes[i].name),
                       SPAN_FMT(quorum->nodes[node].name));
    free(ways);
    return err;
}

enum err quorum_satisfied(const struct quorum *quorum, uint32_t node, const bool *said, bool *out, bool *satisfied, struct why *why)
{
    bool *own = satisfied != NULL ? satisfied : calloc(quorum->n, sizeof *own);
    if (own == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (uint32_t i = 0; i < quorum->n; i++) {
        const struct quorum_node *at = &quorum->nodes[i];
        uint32_t yes = 0;
        for (uint32_t m = 0; at->group && m < at->members; m++)
            yes += own[quorum->members[at->first_member + m]];
        own[i] = at->group ? yes >= at->threshold : said[at->leaf];
    }
    *out = own[node];
    if (satisfied == NULL)
        free(own);
    return OK;
}

bool quorum_reaches(const struct quorum *quorum, uint32_t node, uint32_t leaf)
{

    uint32_t *ways;
    if (count_ways(quorum, node, &ways, NULL) != OK)
        return false;
    bool reached = false;
    for (uint32_t i = 0; i <= node && !reached; i++)
        reached = ways[i] > 0 && !quorum->nodes[i].group && quorum->nodes[i].leaf == leaf;
    free(ways);
    return reached;
}

/* Which nodes can be satisfied twice at once, by sets without a common leaf? A leaf cannot; a group of k, where its members that
 * can, on both sides, and the others, on one side each, are enough for both. Members are defined before their groups. */
static void find_doubles(const struct quorum *quorum, bool *doubled)
{
    for (uint32_t i = 0; i < quorum->n; i++) {
        const struct quorum_node *at = &quorum->nodes[i];
        uint32_t both = 0;
        for (uint32_t m = 0; at->group && m < at->members; m++)
            both += doubled[quorum->members[at->first_member + m]];
        doubled[i] = at->group && 2 * (uint64_t)at->threshold <= (uint64_t)both + at->members;
    }
}

/* Members that can be doubled serve both sides; of the others each serves one. */
static void share_out(const struct quorum *quorum, const struct quorum_node *group, uint8_t side, const bool *doubled,
                      uint8_t *sides)
{
    uint32_t need_one = side & 1 ? group->threshold : 0, need_other = side & 2 ? group->threshold : 0;
    for (uint32_t m = 0; m < group->members && side == 3; m++) {
        uint32_t member = quorum->members[group->first_member + m];
        if (doubled[member] && need_one > 0) {
            sides[member] = 3;
            need_one--;
            need_other--;
        }
    }
    for (uint32_t m = 0; m < group->members; m++) {
        uint32_t member = quorum->members[group->first_member + m];
        if (sides[member] != 0 || (need_one == 0 && need_other == 0))
            continue;
        sides[member] = need_one > 0 ? 1 : 2;
        *(need_one > 0 ? &need_one : &need_other) -= 1;
    }
}

enum err quorum_disjoint(const struct quorum *quorum, uint32_t node, bool *one, bool *other, bool *found, struct why *why)
{
    bool *doubled = calloc(quorum->n, sizeof *doubled);
    uint8_t *sides = calloc(quorum->n, sizeof *sides); /* 1: must satisfy one, 2: other, 3: both */
    enum err err = doubled == NULL || sides == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    *found = false;
    if (err != OK)
        goto out;
    find_doubles(quorum, doubled);
    *found = doubled[node];
    sides[node] = *found ? 3 : 0;
    for (uint32_t i = node + 1; i-- > 0;) {
        const struct quorum_node *at = &quorum->nodes[i];
        if (!at->group) {
            one[at->leaf] |= sides[i] == 1;
            other[at->leaf] |= sides[i] == 2;
            continue;
        }
        share_out(quorum, at, sides[i], doubled, sides);
    }
out:
    free(doubled);
    free(sides);
    return err;
}
