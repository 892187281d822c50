/*
 * The process behind client/gate_signer.h, and what its front asks of it. For these two alone.
 */
#ifndef STELE_CLIENT_GATE_SIGNER_CHILD_H
#define STELE_CLIENT_GATE_SIGNER_CHILD_H

#include "client/gate_turns.h"
#include "client/judge_trail.h"
#include "client/trail_memory.h"
#include "lib/sys/child.h"
#include "lib/sys/key.h"

/* What the front asks. Requests begin with one of these and the place of a trail, in one number: that which OP_TRAIL begins there,
 * the others go on with, and OP_JUDGE ends; OP_FORKED ends all of them. */
enum { OP_JUDGE, OP_TRAIL, OP_STEP, OP_PROOFS, OP_LIST, OP_INFO, OP_NOT_ASKED, OP_RECALL, OP_FORKED, OPS };

enum {
    NO_TRAIL = GATE_TRAILS_MAX, /* for OP_JUDGE: the inputs were not followed */
    FLAG_PASSES = 1,
    FLAG_BY_WARNING = 2,
    FLAG_WANTS_TRAIL = 4,
};

static inline uint64_t gate_signer_op(uint64_t op, size_t place)
{
    return place * OPS + op;
}

/* What the child has. */
struct gate_signer_state {
    const struct client_config *config;
    const char *dir;
    struct judge judge;
    struct evidence_heads heads; /* checkpoints that were verified: a closure's proofs share them */
    size_t told;                 /* so many of them the front knows */
    struct nix_secret_key *key;
    struct trail_memory *trails; /* where `inputs attested` holds */
    struct judge_trail at[GATE_TRAILS_MAX];
};

/* lib/sys/child.h's `start`, `serve` and `end`; ctx is a struct gate_signer_state with `config` and `dir`. `hello` is the gate's key. */
enum err gate_signer_child_start(void *ctx, struct buf *hello, struct why *why);
enum err gate_signer_child_serve(void *ctx, struct span request, struct buf *reply, struct why *why);
void gate_signer_child_end(void *ctx);

#endif
