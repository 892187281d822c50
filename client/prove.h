/*
 * Proof bundles verified by several threads, each checkpoint once a thread, while the caller goes on. Pure but for the threads,
 * and for the head memory where there is a configuration.
 */
#ifndef STELE_CLIENT_PROVE_H
#define STELE_CLIENT_PROVE_H

#include "client/config.h"
#include "client/evidence.h"

struct prove {
    const struct policy *policy;
    bool texts;                         /* items come with the text of their proofs */
    unsigned threads;                   /* that verify; 0 and 1: the caller's alone, in prover_take */
    const struct client_config *config; /* the heads are shown to the memory (client/memory.h); NULL: to none */
    /* Each head, before what rests on it, and once for each thread: also one that proved nothing new. NULL: nobody wants to know. */
    void (*head)(void *ctx, const struct evidence_head *head);
    /* Called on the caller's thread, in the order of the bundles. An attestation comes once under each head; where its proofs come
     * together, as several outputs of one build have them, perhaps twice. An error ends all. */
    enum err (*take)(void *ctx, const struct evidence_item *item, struct why *why);
    /* All before it was taken: as prover_put had it, where that was not empty. NULL: nobody wants to know. */
    enum err (*answered)(void *ctx, struct span asked, struct why *why);
    void *ctx;
};

/* For one thread, which puts and takes. */
struct prover;
/* Borrows what `prove` points to. ERR_ENV where memory is short. */
enum err prover_new(struct prover **out, const struct prove *prove, struct why *why);
void prover_free(struct prover *prover);
/* Has bundles verified: a copy of them. `source` as evidence_add has it. ERR_ENV where memory is short. */
enum err prover_put(struct prover *prover, struct span asked, struct span bundles, const char *source, struct why *why);
/* Hands on what is verified; with `wait`, once some is, unless there is nothing to wait for. What `take` returns, or ERR_ENV. */
enum err prover_take(struct prover *prover, bool wait, struct why *why);
/* From now on `verified` is called, by whatever thread, when prover_take has something new to hand on. NULL: no more. */
void prover_notify(struct prover *prover, void (*verified)(void *ctx), void *ctx);
/* Has it anything that was put and not taken? */
bool prover_busy(const struct prover *prover);
/* So much that the caller should wait before it puts more. */
bool prover_full(const struct prover *prover);
/* Does nothing of this log of the policy count any more? A head that was taken with it showed that it forked. */
bool prover_forked(const struct prover *prover, size_t log);

/* As many threads as this machine has cores. */
unsigned prove_threads(void);

#endif
