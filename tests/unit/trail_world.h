/*
 * Made-up builds, the log in memory of what was attested of them, and trails that are asked of it: what the tests of client/trail.h
 * share. Every function fails the test where it fails.
 */
#ifndef STELE_TESTS_TRAIL_WORLD_H
#define STELE_TESTS_TRAIL_WORLD_H

#include "client/trail.h"
#include "client/trail_memory.h"
#include "tests/graph.h"
#include "tests/memory_log.h"

/* Who signs: two builders that the trust files name, one that they do not, and a cache. Made by trail_world_set_up. */
extern struct secret_key *builder, *friend, *stranger;
extern struct nix_secret_key *cache;
extern char scratch[];

/* A graph, and the log of what was attested of it. */
struct world {
    struct graph graph;
    struct buf *entries, *lists;
    uint32_t *subjects; /* of each entry */
    size_t n, lists_n, cap;
    struct memory_log log;
    uint32_t *sorted; /* nodes by hash part */
    struct buf infos[8];
    uint32_t infos_of[8];
    size_t infos_n;
    size_t asked, lists_asked, infos_asked, rounds, heads; /* by the last `ask`: heads, that it gave out */
    bool hide_lists, bend_lists;
    unsigned threads;
    struct trail_memory *memory;
    struct why why; /* the last verdict's sentence */
};

/* For cmocka_run_group_tests: the keys, and the folder `scratch`. */
int trail_world_set_up(void **state);
int trail_world_tear_down(void **state);

/* source, fixed -> library -> tool (refers to library) -> app (refers to tool); nothing of it is attested. */
enum { SOURCE, FIXED, LIBRARY, TOOL, APP };
void make(struct world *world);
void world_free(struct world *world);
/* Another content for a node, or the first one again. */
void flip(struct world *world, uint32_t node);
/* What `key` says that it built, of the graph as it is now. */
void attest(struct world *world, uint32_t node, const struct secret_key *key);
/* A narinfo of a node, signed by the cache; `bend`: with a signature that is none. */
void add_info(struct world *world, uint32_t number, bool bend);
/* The log is closed: from now on it is asked. */
void publish(struct world *world);

#define QUORUM "quorum ci"

/* A trust file with these lines after those of the builders ci and friend and the cache c. */
struct trust parse_trust(const char *text);
/* Follows the trail of a node to its end under that trust file, feeding it what it asks for. */
enum trail_state ask(struct world *world, uint32_t root, const char *trust_text);
/* It is complete; it ends, with that in its reason. */
void comes_out(struct world *world, uint32_t root, const char *trust);
void ends(struct world *world, uint32_t root, const char *trust, const char *reason);

#endif
