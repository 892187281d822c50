/*
 * The outbox: one file an attestation, OUTBOX/<derivation's hash part>-<16 hex of the entry's SHA-256>.jsonl, its content the
 * JSON lines that the log takes. A file is there whole or not at all. What a log refused for good lies in OUTBOX/refused, with
 * the reason beside it.
 */
#ifndef STELE_CLIENT_OUTBOX_H
#define STELE_CLIENT_OUTBOX_H

#include "client/build.h"
#include "client/config.h"

/* Is anything of these names kept out of public by `attest` and `skip` of the configuration? `path` is one subject's. */
bool outbox_skips(const struct client_config *config, const char *path);
/* Durable. */
enum err outbox_put(const struct client_config *config, const char *drv_path, const struct attestation *attestation,
                    struct why *why);
/* `name` is of a file in the outbox or, with its folder, below it. */
enum err outbox_set_aside(const struct client_config *config, const char *name, const char *reason, struct why *why);
/* Can the hook put anything there? ERR_ENV where it is not this user's to write, or the disk is as good as full. */
enum err outbox_room(const struct client_config *config, struct why *why);

#endif
