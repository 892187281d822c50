/*
 * Tickets: what the hook leaves where hashing the outputs would hold up the build (`hook-hash-max`), for the deliverer to hash,
 * attest and post: OUTBOX/tickets/<derivation's hash part>-<16 hex of the content's SHA-256>.ticket, the derivation's path and
 * then the outputs', a line each, and `sandbox SETTING` where it is known. A ticket claims nothing: what is attested is checked
 * anew when it is redeemed.
 *
 * Its outputs have GC roots, links NIX_STATE_DIR/gcroots/stele/<ticket's name>.<n>, from before the ticket is there until after it
 * is gone: no garbage collection takes what is still to be hashed.
 */
#ifndef STELE_CLIENT_TICKET_H
#define STELE_CLIENT_TICKET_H

#include "client/outbox.h"

/* A ticket's file; its strings lie in the text that it was read from. */
struct ticket {
    const char *lines[SUBJECTS_MAX + 2]; /* the derivation, the outputs, and the sandbox's line where there is one */
    const char *drv_path;
    const char *const *outputs; /* one at least */
    size_t outputs_n;
    const char *sandbox; /* of statement_sandbox; NULL where not known */
};
/* The text's lines become strings where they lie. ERR_MALFORMED. */
enum err ticket_parse(struct ticket *out, struct buf *text, struct why *why);
/* The fields' alone. */
void ticket_render(struct buf *out, const struct ticket *ticket);

/* Durable. `attestation` was postponed: its subjects are the outputs. Where a GC root cannot be made the ticket is put all the
 * same, and that is ERR_ENV. */
enum err ticket_put(const struct client_config *config, const struct build *build, const struct attestation *attestation,
                    struct why *why);

struct tickets {
    size_t refused; /* set aside, with the reason there and on stderr */
    size_t left;    /* cannot be redeemed yet (no key, another store): they stay */
    size_t untried; /* the time was over before their turn */
    struct why why_left;
};
/* Turns tickets into attestations in the outbox, begins none after `until_ms` (clock_monotonic_ms) but the first; and removes GC
 * roots that have lost their ticket. `counts` is set anew. ERR_ENV where the outbox cannot be used. */
enum err tickets_redeem(const struct client_config *config, uint64_t until_ms, struct tickets *counts, struct why *why);

#endif
