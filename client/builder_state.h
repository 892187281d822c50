/*
 * STATE/machine-id: on which machine, and since when, this key builds. A backfill of what was there before, or of a cloned
 * database, is refused by it.
 */
#ifndef STELE_CLIENT_BUILDER_STATE_H
#define STELE_CLIENT_BUILDER_STATE_H

#include "client/config.h"

/* Writes it where it is missing: keygen and the hook do. */
enum err builder_state_start(const struct client_config *config, struct why *why);
/* Since when this machine builds with the key. ERR_REFUSED where nothing says so, or another machine wrote it. */
enum err builder_state_since(const struct client_config *config, uint64_t *since_s, struct why *why);
/* The file's line, `MACHINE-ID TIME`. */
bool builder_state_parse(struct span text, struct span *id, uint64_t *since_s);

#endif
