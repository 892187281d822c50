/*
 * What the logs say of many paths, in few requests: while one is on its way, what else is wanted gathers, and goes out
 * together (POST /outputs, spec/log.md). Besides the path at hand its references are asked for, ahead of Nix's questions.
 */
#ifndef STELE_CLIENT_GATE_LOOKUPS_H
#define STELE_CLIENT_GATE_LOOKUPS_H

#include "client/config.h"

struct gate_lookups;

enum err gate_lookups_new(struct gate_lookups **out, const struct client_config *config, const struct policy *policy,
                          struct why *why);
void gate_lookups_free(struct gate_lookups *lookups);

/* Appends what log number `log` of the policy, which has a URL, answers for `hash_part`: maybe nothing. Waits for it. `ahead` (n
 * hash parts) will be asked for soon. Safe from several threads. ERR_ENV where the log gives no answer. */
enum err gate_lookups_ask(struct gate_lookups *lookups, size_t log, struct span hash_part, const struct span *ahead, size_t n,
                          struct buf *bundles, struct why *why);

#endif
