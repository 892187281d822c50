/*
 * STATE/built: what this machine built, a line "PATH HEX" for each output that the hook or `stele attest` found built here, HEX
 * being the SHA-256 of its NAR. Only ever added to. Nix's own mark goes when a path is collected, and what this machine's keys said
 * of it does not: `stele audit` holds the one against the other (spec/reports.md).
 */
#ifndef STELE_CLIENT_BUILT_H
#define STELE_CLIENT_BUILT_H

#include "client/build.h"
#include "client/config.h"

/* Adds what is attested. Not durable: what a power cut takes was built here all the same, and an audit raises the alarm for it.
 * ERR_ENV where it cannot be written. */
enum err built_add(const struct client_config *config, const struct attestation *attestation, struct why *why);
/* Calls `each` with every line, until its error; passes over what is none. Nothing where there is no such file; ERR_ENV where it
 * cannot be read. */
enum err built_each(const struct client_config *config,
                    enum err (*each)(void *ctx, struct span path, const struct hash *nar_hash, struct why *why), void *ctx,
                    struct why *why);

#endif
