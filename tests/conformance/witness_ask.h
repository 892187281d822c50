/*
 * What a witness is asked, and how its answers are read: requests of logs of our own, right ones and wrong ones.
 */
#ifndef CONFORMANCE_WITNESS_ASK_H
#define CONFORMANCE_WITNESS_ASK_H

#include "tests/conformance/table.h"
#include "tests/conformance/witness.h"
#include "tests/own_log.h"

enum { LEAVES = 64 }; /* of each log */

extern const struct witness_under_test *under_test;
extern struct buf body; /* the newest request */

unsigned post(void);
/* Which status a malformed request gets is not said. */
bool refused(unsigned status);
unsigned add(const struct own_log *log, uint64_t old, uint64_t size);
unsigned get_note(const struct own_log *log);
/* Is `size` what the witness last cosigned for the log? It says so in a conflict. */
bool stands_at(const struct own_log *log, uint64_t size);
/* What it says it last cosigned; `otherwise` where it does not say. Where it took what it must not have, what is asked next begins
 * there: one fault is one failure. */
uint64_t standing(const struct own_log *log, uint64_t otherwise);
/* A request's four parts, for a test to put together otherwise. */
void whole(const char *front, struct span text, struct span signatures);
/* A signature line by a key with this name and a random ID, or with the log's own ID and a wrong signature. */
void stray_line(struct buf *out, const struct own_log *log, bool known);
/* The newest answer is cosignature lines over the newest request's checkpoint, the witness's Ed25519 one among them. */
bool cosigned_well(const char *which_case);

#endif
