/*
 * Puts the proofs that verdicts rested on into the client's own store, behind the gate's answers: they serve audits, and
 * look-ups while logs are away, and no substitution waits for a disk.
 */
#ifndef STELE_CLIENT_GATE_KEEP_H
#define STELE_CLIENT_GATE_KEEP_H

#include "client/config.h"

struct gate_keeper;

enum err gate_keeper_start(struct gate_keeper **out, const struct client_config *config, struct why *why);
/* Writes what is left, and ends. */
void gate_keeper_stop(struct gate_keeper *keeper);
/* Best effort: where too much waits already, these are left out, which is reported. Safe from several threads. */
void gate_keep(struct gate_keeper *keeper, struct span hash_part, struct span proofs);

#endif
