/*
 * Proof bundles verified by several threads, each checkpoint once a thread. Pure but for the threads, and for the head memory
 * where there is a configuration.
 */
#ifndef STELE_CLIENT_PROVE_H
#define STELE_CLIENT_PROVE_H

#include "client/config.h"
#include "client/evidence.h"

struct prove {
    const struct policy *policy;
    const char *source;                 /* as evidence_add has it */
    unsigned threads;                   /* 0 and 1: the caller's alone */
    const struct client_config *config; /* the heads are shown to the memory (client/memory.h); NULL: to none */
    /* Called in the order of the bundles, on the caller's thread. An error ends all. */
    enum err (*take)(void *ctx, const struct evidence_item *item, struct why *why);
    bool (*known)(void *ctx, const struct proof *proof); /* need not be verified again; NULL: none is known */
    void *ctx;
};

/* ERR_ENV where memory is short, or what `take` returns. */
enum err prove_bundles(const struct prove *prove, struct span bundles, struct why *why);
/* As many threads as this machine has cores. */
unsigned prove_threads(void);

#endif
