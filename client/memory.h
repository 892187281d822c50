/*
 * The client's memory of heads (spec/files.md, "The head memory"): for each log the newest head under the
 * policy's quorum that is known to have grown out of all others, and the heads that nobody has tied to it yet. Kept in
 * STATE/heads across restarts; one writer at a time among all processes and threads that share STATE.
 *
 * Two heads of one size with different roots are a fork, and so is a head that is no part of the tree that the log shows. A fork
 * under the quorum is kept as STATE/evidence/HEX, for `stele verify-evidence`, and from then on nothing in that log counts
 * (client_policy_load sees to that). A conflicting head without the quorum is kept as STATE/evidence/HEX.unwitnessed, and told.
 */
#ifndef STELE_CLIENT_MEMORY_H
#define STELE_CLIENT_MEMORY_H

#include "client/config.h"
#include "client/evidence.h"
#include "lib/sys/http_client.h"

/* Shows the memory a checkpoint that satisfied the policy (`note` verbatim). ERR_REFUSED where it, or an earlier one, shows that
 * the log forked. ERR_ENV where it could not be remembered: what was proven stays proven. */
enum err memory_see(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, struct why *why);
/* The same for one that the log signed, without the quorum: it is remembered nowhere. *conflict where it contradicts the memory,
 * which `what` then says. */
enum err memory_hear(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, bool *conflict,
                     struct why *what, struct why *why);
/* Has a fork of `origin` ever been seen? */
bool memory_forked(const struct client_config *config, struct span origin);
/* ERR_REFUSED, saying so. */
enum err memory_refuse_forked(struct span origin, struct why *why);

/* Shows it all heads that bundles brought: what satisfied the policy is seen, what was short of the quorum heard, and told. Those
 * of a log that forked satisfy it no longer, and of `evidence` (may be NULL) what rests on them is not proven any more. Trouble
 * with the disk is reported, and changes nothing. */
void memory_show(const struct client_config *config, struct evidence_heads *heads, struct evidence *evidence);

/* Before log number `log` of the policy is looked up: its own /checkpoint is asked for, at most once a minute in this process,
 * and every head in the memory is proven to be a head of the tree that it shows. ERR_REFUSED where the log forked, or shows less
 * than it showed before (rolled back): it is not to be looked up. ERR_ENV where it, or its tiles, cannot be had. */
enum err memory_ask(const struct client_config *config, const struct policy *policy, size_t log, struct http_client *client,
                    struct why *why);
/* It gave no answer to something else that it was asked at `from_ms` (monotonic): for as long again memory_ask says so at once. */
void memory_silent(const struct policy *policy, size_t log, uint64_t from_ms, const struct why *why);

#endif
