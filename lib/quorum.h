/*
 * Nested k-of-n groups over named leaves: what tlog-policy and the trust file share (c2sp.org/tlog-policy, "Defining a
 * witness group"). Names are defined before they are used, in one name space; within one quorum each name can be
 * reached in one way only.
 */
#ifndef STELE_QUORUM_H
#define STELE_QUORUM_H

#include "lib/bytes.h"
#include "lib/limits.h"

struct quorum_node {
    struct span name;
    bool group;
    uint32_t leaf;                  /* a leaf's number, in the order of definition */
    uint32_t threshold;             /* of a group: 1 to members */
    uint32_t first_member, members; /* of a group: in quorum.members */
    bool is_member;                 /* stands in a group already */
};

struct quorum {
    struct quorum_node *nodes;
    uint32_t *members; /* node numbers, a group's in a row */
    uint32_t n, leaves, members_n;
    bool shared_members; /* a name may stand in several groups (trust files: each quorum line is checked by itself) */
};

void quorum_free(struct quorum *quorum);
/* ERR_MALFORMED where the name is taken or is `none`; *node is its number. */
enum err quorum_leaf(struct quorum *quorum, struct span name, uint32_t *node, struct why *why);
/* `words` is what follows the group's name: "all|any|K MEMBER...". ERR_MALFORMED. */
enum err quorum_group(struct quorum *quorum, struct span name, struct span words, uint32_t *node, struct why *why);
/* The node of that name, or -1. */
int64_t quorum_find(const struct quorum *quorum, struct span name);
/* ERR_MALFORMED where some name can be reached from `node` in more than one way. */
enum err quorum_reach_once(const struct quorum *quorum, uint32_t node, struct why *why);
/* Is `node` satisfied where leaf i said yes if said[i]? `satisfied`, where not NULL, gets a flag for every node. ERR_ENV
 * where memory is short. */
enum err quorum_satisfied(const struct quorum *quorum, uint32_t node, const bool *said, bool *out, bool *satisfied,
                          struct why *why);
/* Is leaf `leaf` reachable from `node`? */
bool quorum_reaches(const struct quorum *quorum, uint32_t node, uint32_t leaf);

/* Two sets of leaves without a common one that both satisfy `node`, where there are: a flag a leaf. The quorum's names must be
 * reached in one way only. ERR_ENV. */
enum err quorum_disjoint(const struct quorum *quorum, uint32_t node, bool *one, bool *other, bool *found, struct why *why);

#endif
