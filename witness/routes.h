/*
 * The witness over HTTP: submission and monitoring prefix are both the root.
 */
#ifndef STELE_WITNESS_ROUTES_H
#define STELE_WITNESS_ROUTES_H

#include "lib/sys/rate.h"
#include "witness/bastions.h"
#include "witness/committer.h"

struct witness {
    struct logs logs;
    struct committer *committer;
    struct bastions *bastions; /* NULL: none */
    /* Requests that never came to a log. */
    _Atomic uint64_t malformed, unknown_origin, queue_full, address_limited;
    const char *proxy;      /* whose X-Forwarded-For counts */
    struct rate *addresses; /* NULL: no limit */
};

/* An http_server's `handle`; ctx is the witness. */
void routes_handle(void *ctx, struct http_request *request);

/* POST /add-checkpoint (add_checkpoint.c) */
void add_checkpoint(struct witness *witness, struct http_request *request);
/* The body of /: HTML (page.c) */
void page_render(struct witness *witness, struct buf *out);
/* The body of /metrics (metrics.c) */
void metrics_render(struct witness *witness, struct buf *out);

#endif
