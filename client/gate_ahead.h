/*
 * Small NARs read ahead of Nix (spec/gate.md). It fetches few at once, Nix 2.8 often one, and waits for each in turn,
 * though it has asked for all their narinfo files before. So once it asks for a NAR, the others of which the gate has just handed
 * out the narinfo are fetched, decompressed and checked beside it, the newest first: dependencies come last, and are wanted first.
 * Nothing is fetched for who only asks for narinfo files. Limits: client/gate.h.
 */
#ifndef STELE_CLIENT_GATE_AHEAD_H
#define STELE_CLIENT_GATE_AHEAD_H

#include "lib/bytes.h"

struct gate;
struct gate_path;
struct gate_ahead;

enum err gate_ahead_start(struct gate_ahead **out, struct gate *gate, struct why *why);
/* Waits for what is being fetched: gate->stopping, where set, ends that within a second. */
void gate_ahead_stop(struct gate_ahead *ahead);
/* The narinfo of this path goes out. Safe from several threads, as what follows is. */
void gate_ahead_offer(struct gate_ahead *ahead, const struct gate_path *path);
/* The NAR of this path is asked for. True where it was read ahead, or was just being: *whole (empty before) is all of it, checked.
 * False where not, or where the upstream failed to deliver it, which then is shunned like any. */
bool gate_ahead_take(struct gate_ahead *ahead, const struct gate_path *path, struct buf *whole);

#endif
