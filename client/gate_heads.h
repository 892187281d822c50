/*
 * The logs' heads that the gate's signer met in proofs, on their way into the client's memory (client/memory.h). The signer has
 * verified them, and has no disk; the front has no other way to know of them.
 */
#ifndef STELE_CLIENT_GATE_HEADS_H
#define STELE_CLIENT_GATE_HEADS_H

#include "client/config.h"
#include "client/evidence.h"

/* In the signer: appends a head, where a log signed it, whether the quorum did or not. */
void gate_heads_put(struct buf *out, const struct evidence_head *head);
/* In the front: shows them to the memory, which tells forks and conflicts. False where one could not be remembered: it should be
 * told again. */
bool gate_heads_show(const struct client_config *config, struct span heads);
/* ERR_REFUSED where the log of one of `origins` (lines) forked, whenever that was. */
enum err gate_heads_check(const struct client_config *config, struct span origins, struct why *why);

#endif
