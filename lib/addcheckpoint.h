/*
 * The body of c2sp.org/tlog-witness's add-checkpoint: an old size line, consistency proof lines, an empty line, and a
 * checkpoint with its signatures.
 */
#ifndef STELE_ADDCHECKPOINT_H
#define STELE_ADDCHECKPOINT_H

#include "lib/checkpoint.h"

/* Borrows from the body. */
struct add_checkpoint {
    uint64_t old;
    struct hash proof[PROOF_HASHES_MAX];
    size_t proof_n;
    struct note note;
    struct checkpoint checkpoint; /* of note.text */
};

/* ERR_MALFORMED, naming the line. The form alone: nothing is verified, and `old` may be any number to 2^63 - 1. */
enum err add_checkpoint_parse(struct add_checkpoint *out, struct span body, struct why *why);
/* The body of a 409: the size that the witness is at. False where it is not a decimal size and a newline, and nothing else. */
bool add_checkpoint_conflict_parse(struct span body, uint64_t *size);

#endif
