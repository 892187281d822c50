/*
 * May this head follow that one? The one rule that the log's signer, the witness and the client's memory apply
 * (c2sp.org/tlog-witness, "add-checkpoint").
 */
#ifndef STELE_HEAD_H
#define STELE_HEAD_H

#include "lib/merkle.h"

struct head {
    uint64_t size;
    struct hash root;
};

/* The verdicts, in the order in which they are looked for, with the witness's HTTP status. */
enum head_verdict {
    HEAD_OK,           /* 200: equal to the last head, or proven to extend it */
    HEAD_OLD_ABOVE,    /* 400: `old` exceeds the new size */
    HEAD_OLD_DIFFERS,  /* 409: `old` is not the last head's size */
    HEAD_EMPTY_ROOT,   /* 422: size 0 without the root of the empty tree */
    HEAD_ROOT_DIFFERS, /* 422: the last head's size with another root: a fork */
    HEAD_PROOF_BAD,    /* 422: the proof is not empty where it must be, or does not hold */
    HEAD_SUSPENDED,    /* 503: a signer restored from a backup, which waits for a person (lib/sys/heads.h) */
    HEAD_TOO_FAR,      /* grows by more than `growth_max` at once: only the log's signer has such a bound */
};

/* `last` is size 0 with the empty root where there was none. `growth_max` 0 means no bound. `why` explains all but OK. */
enum head_verdict head_follows(const struct head *last, uint64_t old, const struct head *next, const struct hash *proof, size_t n,
                               uint64_t growth_max, struct why *why);

#endif
