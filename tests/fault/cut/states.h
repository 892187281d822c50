/*
 * The states in which a power cut may leave a disk: which of them to try, and what of each operation is there in it.
 */
#ifndef STELE_TESTS_FAULT_CUT_STATES_H
#define STELE_TESTS_FAULT_CUT_STATES_H

#include "tests/fault/cut/disk.h"
#include "tests/fault/cut/words.h"

/* Which of the operations that need not last are there. */
enum plan {
    NOTHING,
    EVERYTHING,
    NAMES, /* created, renamed and removed, but the files hold nothing new */
    FILES, /* the reverse */
    ONE_OBJECT,
    ALL_BUT_ONE_OBJECT,
    PREFIX,
    SOME, /* each whole or not at all */
    TORN_SECTORS,
    TORN_PAGES,
    PLANS_N,
    /* Without a site: everything, but of what its syncs would have made last nothing, or some. */
    LOST = PLANS_N,
    LOST_SOME,
    LOST_TORN,
};

struct state {
    uint64_t cut, seed;
    enum plan plan;
};

struct states {
    struct disk disk;
    struct words words;
    bool *without;                    /* syncs that are taken out: a flag a site, or NULL */
    uint64_t *since, *since_with_all; /* see disk_lasting */
    size_t *lost;                     /* operations that last later, or never, because of what was taken out */
    size_t lost_n;
    uint8_t *shares; /* of the state chosen last */
    uint64_t *known; /* states that were chosen already */
    size_t known_n;
};

/* After disk, words and without are set; for at most `n` states. ERR_ENV. */
enum err states_prepare(struct states *states, size_t n, struct why *why);
/* The state to try as number `i`. */
struct state states_pick(const struct states *states, uint64_t seed, size_t i);
/* Fills in the shares; false where the plan has nothing to take or leave, or the state was chosen before. */
bool states_choose(struct states *states, const struct state *state);
void states_print(const struct states *states, const struct state *state);

#endif
