/*
 * `stele why --last`: what the gate refused lately, in one line and then by reason; and its last word on one path.
 */
#ifndef STELE_CLIENT_WHY_LAST_H
#define STELE_CLIENT_WHY_LAST_H

#include "client/config.h"

/* The refusals of the last run, those that follow each other within minutes, and all that `mode warn` let pass. ERR_ENV. */
enum err why_last(const struct client_config *config, bool as_json, struct why *why);
/* The newest record of this hash part, with its reasoning; nothing where there is none. ERR_ENV. */
enum err why_last_of(const struct client_config *config, struct span hash_part, struct why *why);

#endif
