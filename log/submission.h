/*
 * A POST /attestations, parsed and verified: what waits in the queues until it is answered.
 */
#ifndef STELE_LOG_SUBMISSION_H
#define STELE_LOG_SUBMISSION_H

#include "log/config.h"
#include "log/store.h"

struct http_request;
struct rate;

/* Who may submit, and how much. */
struct submission_rules {
    const struct builders *builders;
    struct rate *rate; /* of each builder's key; NULL for no limit */
};

struct submission_refusal {
    unsigned status;  /* 400, 403, 413, 429, or 503 where the store or memory failed */
    uint64_t wait_ms; /* for a 429 */
    bool forged;      /* its signature did not verify */
};

struct submission {
    struct submission *next;
    struct http_request *request; /* to be answered exactly once; owns the body that entries and lines borrow from */
    struct store_part part;
    struct store_list *lists;       /* part.lists; their texts are owned */
    size_t bytes;                   /* of the body: what the queue counts */
    uint64_t taken_us, deadline_ms; /* by the monotonic clock: when it was queued, and until when it waits */
    uint64_t covers;                /* once committed: a head of this size covers it all */
};

/* A queue of them, first in, first out. */
struct submission_list {
    struct submission *first, *last;
    size_t n;
};
void submission_list_add(struct submission_list *list, struct submission *submission);
struct submission *submission_list_take(struct submission_list *list); /* NULL where it is empty */

/* Parses and verifies a body: a line an envelope, and before the envelopes that name it a line {"inputs":"<base64>"}. All or
 * nothing. What is cheap comes first: whether a builder may submit, and so much, is asked before its signature is verified, and
 * that of every envelope before a list is looked at. */
enum err submission_parse(struct submission **out, struct span body, const struct submission_rules *rules, struct store *store,
                          struct submission_refusal *refusal, struct why *why);
void submission_free(struct submission *submission);

#endif
