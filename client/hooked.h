/*
 * One build, from what Nix's hook was told to an attestation in the outbox: the hook's own work, and that of the signing agent for
 * it. Nothing is attested that was not checked here.
 */
#ifndef STELE_CLIENT_HOOKED_H
#define STELE_CLIENT_HOOKED_H

#include "client/build.h"
#include "client/config.h"

struct hooked {
    const char *drv_path;
    const char *const *outputs; /* full paths; n 0 where Nix named none */
    size_t outputs_n;
    const char *sandbox; /* Nix's setting, of statement_sandbox; NULL where not known */
    const char *check; /* NULL for a build. A rebuild's result that differs from its one output: OUTPUT.check (client/rebuild.h) */
};

/* Puts an attestation, or a ticket, into the outbox, or neither where the names are kept private. ERR_REFUSED and *refusal;
 * ERR_ENV, ERR_MALFORMED. */
enum err hooked_attest(const struct client_config *config, const struct secret_key *key, const struct hooked *hooked,
                       enum build_refusal *refusal, struct why *why);

#endif
