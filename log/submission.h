/*
 * A POST /attestations, parsed and verified: what waits in the queues until it is answered.
 */
#ifndef STELE_LOG_SUBMISSION_H
#define STELE_LOG_SUBMISSION_H

#include "log/config.h"
#include "log/store.h"

struct http_request;

struct submission {
    struct submission *next;
    struct http_request *request; /* to be answered exactly once; owns the body that entries and lines borrow from */
    struct store_part part;
    struct store_list *lists; /* part.lists; their texts are owned */
    size_t bytes;             /* of the body: what the queue counts */
    uint64_t deadline_ms;     /* by the monotonic clock */
    uint64_t covers;          /* once committed: a head of this size covers it all */
};

/* A queue of them, first in, first out. */
struct submission_list {
    struct submission *first, *last;
    size_t n;
};
void submission_list_add(struct submission_list *list, struct submission *submission);
struct submission *submission_list_take(struct submission_list *list); /* NULL where it is empty */

/* Parses and verifies a body: a line an envelope, and before the envelopes that name it a line {"inputs":"<base64>"}. All or
 * nothing. *status is the HTTP status of a refusal: 400, 403, 413, or 503 where the store or memory failed. */
enum err submission_parse(struct submission **out, struct span body, const struct builders *builders, struct store *store,
                          unsigned *status, struct why *why);
void submission_free(struct submission *submission);

#endif
