/*
 * The client's memory of heads (design section 6): per origin, the newest (size, root) under the policy's quorum, in
 * STATE/heads/<hex of SHA-256 of the origin>. The same size with another root is a fork at once.
 */
#ifndef STELE_CLIENT_MEMORY_H
#define STELE_CLIENT_MEMORY_H

#include "client/config.h"

/* Shows the memory a signed checkpoint that satisfied the policy (`note` verbatim). ERR_REFUSED "… forked" where it
 * contradicts what is remembered: both notes are then kept in STATE/evidence/. A newer size is remembered, an older one
 * is fine. ERR_ENV. */
enum err memory_see(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, struct why *why);
/* Was a fork of `origin` ever seen? Then the log is not believed. */
bool memory_forked(const struct client_config *config, struct span origin);

#endif
