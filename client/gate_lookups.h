/*
 * What the logs say of many paths, in few requests: while one is on its way, what else is wanted gathers, and goes out
 * together (POST /outputs, spec/log.md). So a path's references can be asked for ahead of Nix's questions.
 */
#ifndef STELE_CLIENT_GATE_LOOKUPS_H
#define STELE_CLIENT_GATE_LOOKUPS_H

#include <stdatomic.h>

#include "client/config.h"

struct gate_lookups;

/* Once `stopping` is set, a request on its way fails within a second. */
enum err gate_lookups_new(struct gate_lookups **out, const struct client_config *config, const struct policy *policy,
                          const atomic_bool *stopping, struct why *why);
void gate_lookups_free(struct gate_lookups *lookups);

/* The policy's logs are asked for these hash parts soon, in this order, but for what they were asked for lately, and what they did
 * not give all of. Waits for nothing. Safe from several threads, as is what follows. */
void gate_lookups_want(struct gate_lookups *lookups, const struct span *hash_parts, size_t n);
/* Appends what log number `log` of the policy, which has a URL, answers for `hash_part`: maybe nothing. Waits for it; ERR_ENV where
 * the log gives no answer, or not all of it. Where `anew` is false, that is what it was asked for already, lately, and answers
 * within a moment: else nothing. */
enum err gate_lookups_ask(struct gate_lookups *lookups, size_t log, struct span hash_part, bool anew, struct buf *bundles,
                          struct why *why);

#endif
