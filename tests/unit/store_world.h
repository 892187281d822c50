/*
 * A store in a folder of its own, with made-up entries, and what a store of them must give: what the tests of log/store.h share.
 * Every function fails the test where the store does.
 */
#ifndef STELE_TESTS_STORE_WORLD_H
#define STELE_TESTS_STORE_WORLD_H

#include "log/store.h"

#define ORIGIN "log.example"

extern char dir[64];   /* the store's folder */
extern struct why why; /* what the last call said */

/* For cmocka_unit_test_setup_teardown: a new folder for each test. */
int store_setup(void **state);
int store_teardown(void **state);

/* Entry `i` of these tests: its bytes (of a length that varies), its builder and output from its number. */
struct store_entry make_entry(unsigned i);
void free_entry(struct store_entry *entry);

enum err try_open(struct store **out, const char *origin);
struct store *open_store(void);
/* Appends entries [from, to) as one part and checks their indices. `known`: they are there already. */
void append(struct store *store, unsigned from, unsigned to, bool known);
/* Everything that a tree of `size` entries must give; of bundles and single entries every step-th. */
void check_all(struct store *store, uint64_t size, unsigned step);

#endif
