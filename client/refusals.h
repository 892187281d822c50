/*
 * What the gate refused lately, or let pass by `mode warn` alone, for `stele why` afterwards: STATE/refusals (lib/refusalfile.h)
 * and refusals.old, of at most a megabyte each, so it stays bounded.
 */
#ifndef STELE_CLIENT_REFUSALS_H
#define STELE_CLIENT_REFUSALS_H

#include "client/config.h"
#include "lib/refusalfile.h"

/* Best effort: trouble is reported to the operator and otherwise ignored. Safe from several threads. */
void refusals_add(const struct client_config *config, struct span hash_part, struct span why, struct span tree);
/* The same of what `mode warn` let pass: what enforce would have said. */
void refusals_add_warned(const struct client_config *config, struct span hash_part, struct span why, struct span tree);
/* Appends both files, the oldest record first. ERR_ENV. */
enum err refusals_read(const struct client_config *config, struct buf *out, struct why *why);

#endif
