/*
 * POST /attestations to a log of the policy, and what its answers mean.
 */
#ifndef STELE_CLIENT_POST_H
#define STELE_CLIENT_POST_H

#include "client/evidence.h"
#include "client/proofs.h"

enum post_outcome {
    POST_PROVEN,  /* 200: proof bundles */
    POST_LATER,   /* no answer, 429, 5xx, or not the log's word (a proxy's page, a wrong address): try again after retry_after_s
                   * (0: unknown) */
    POST_REFUSED, /* 413, or problem details with 400 or 403: this body will never be taken */
};

struct post_answer {
    enum post_outcome outcome;
    struct buf bundles;
    uint64_t retry_after_s;
    struct why why; /* where not proven */
};
void post_answer_free(struct post_answer *answer);

/* Posts JSON lines to the first log of the policy (or `log` of the configuration) that answers. ERR_ENV only where there is no
 * log to ask, or memory is short. */
enum err post_attestations(struct http_client *client, const struct client_config *config, const struct policy *policy,
                           struct span lines, struct post_answer *out, struct why *why);

/* Finds the proof of this envelope among the evidence: the item's number, or -1 and why not. */
int64_t post_find_proof(const struct evidence *evidence, struct span envelope, struct why *why);

#endif
