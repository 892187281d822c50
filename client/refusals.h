/*
 * What the gate refused lately, for `stele why` afterwards: STATE/refusals, a header line "TIME HASHPART sentence" and the
 * reasoning as indented lines for each. Two files of at most a megabyte, so it stays bounded.
 */
#ifndef STELE_CLIENT_REFUSALS_H
#define STELE_CLIENT_REFUSALS_H

#include "client/config.h"

/* Best effort: trouble is reported to the operator and otherwise ignored. Safe from several threads. */
void refusals_add(const struct client_config *config, struct span hash_part, struct span why, struct span tree);
/* Appends the newest record of a hash part (all of the last `most` records where hash_part is empty); nothing where there is
 * none. */
enum err refusals_find(const struct client_config *config, struct span hash_part, size_t most, struct buf *out, struct why *why);

#endif
