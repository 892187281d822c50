/*
 * A C2SP witness, asked as logs would ask it: the clauses of tlog-witness, tlog-cosignature and tlog-checkpoint.
 */
#ifndef CONFORMANCE_WITNESS_H
#define CONFORMANCE_WITNESS_H

#include "lib/note.h"

struct witness_under_test {
    const char *submission, *monitoring; /* URL prefixes without the closing slash */
    struct vkey key;                     /* of its Ed25519 cosignatures */
    const char *seed;                    /* the logs' origins begin with it */
    const char *restart;                 /* a command of sh that kills the witness and starts it again, or NULL */
};

/* "ORIGIN VKEY" lines: the logs of that seed, which the witness must know. */
void witness_print_logs(const char *seed);
/* False where it knows none of the logs as new ones, or does not answer: nothing was tested. */
bool witness_run(const struct witness_under_test *witness);

#endif
