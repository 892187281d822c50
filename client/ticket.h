/*
 * Tickets: what the hook leaves where hashing the outputs would hold up the build (`hook-hash-max`), for the deliverer to hash,
 * attest and post: OUTBOX/tickets/<derivation's hash part>-<16 hex of the content's SHA-256>.ticket, the derivation's path and
 * then the outputs', a line each. A ticket claims nothing: what is attested is checked anew when it is redeemed.
 */
#ifndef STELE_CLIENT_TICKET_H
#define STELE_CLIENT_TICKET_H

#include "client/outbox.h"

/* Durable. `attestation` was postponed: its subjects are the outputs. */
enum err ticket_put(const struct client_config *config, const char *drv_path, const struct attestation *attestation,
                    struct why *why);

/* Turns tickets into attestations in the outbox. One that is refused is set aside with the reason, on stderr too, and counted in
 * *refused; one that cannot be redeemed yet (no key, another store) stays, is counted in *left, and *why_left says why. ERR_ENV
 * where the outbox cannot be used. */
enum err tickets_redeem(const struct client_config *config, size_t *refused, size_t *left, struct why *why_left, struct why *why);

#endif
