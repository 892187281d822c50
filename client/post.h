/*
 * POST /attestations to a log, and what its answers mean (spec/log.md).
 */
#ifndef STELE_CLIENT_POST_H
#define STELE_CLIENT_POST_H

#include "client/evidence.h"
#include "client/proofs.h"

enum post_outcome {
    POST_PROVEN,    /* 200: proof bundles */
    POST_LATER,     /* no answer, 429, 5xx, or not the log's word (a proxy's page, a wrong address): try again after retry_after_s
                    * (0: unknown) */
    POST_REFUSED,   /* problem details with 400, 403 or 409: this body will never be taken */
    POST_TOO_LARGE, /* 413, also a proxy's: nor will this, unless in parts */
    POST_FROZEN,    /* 410: the log has ended; what it has it still proves */
};

struct post_answer {
    enum post_outcome outcome;
    bool silent; /* no answer at all came */
    struct buf bundles;
    uint64_t retry_after_s;
    size_t line;    /* which line of the body is refused, from 1; 0 where the log does not say */
    struct why why; /* where not proven */
};
void post_answer_free(struct post_answer *answer);

/* Posts JSON lines to the log at `url` (no final slash). An answer of more than `bytes_max` is none. ERR_ENV only where memory is
 * short. `out` is emptied first, and its memory used again. */
enum err post_to(struct http_client *client, struct span url, struct span lines, size_t bytes_max, struct post_answer *out,
                 struct why *why);

/* Posts JSON lines to the first log of the policy (or `log` of the configuration) that takes or refuses them. ERR_ENV where there
 * is no log to ask, or memory is short. */
enum err post_attestations(struct http_client *client, const struct client_config *config, const struct policy *policy,
                           struct span lines, struct post_answer *out, struct why *why);

/* ERR_ENV: there is no log to ask, and what to do about it. */
enum err post_no_log(const struct client_config *config, struct why *why);

/* Finds the proof of this envelope among the evidence: the item's number, or -1 and why not. */
int64_t post_find_proof(const struct evidence *evidence, struct span envelope, struct why *why);

#endif
