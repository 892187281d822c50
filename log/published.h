/*
 * What the log shows: the published checkpoint. Nothing past its size is served by any route (spec/invariants.md, 1).
 *
 * Swapped whole by the publisher, taken by any thread. Besides the newest head there may be an older one that more
 * witnesses cosigned: look-ups prove against it, so that a client whose policy wants other witnesses than the log's quorum
 * is served too.
 */
#ifndef STELE_LOG_PUBLISHED_H
#define STELE_LOG_PUBLISHED_H

#include <stdatomic.h>

#include "lib/sys/http_server.h"
#include "log/signed_head.h"

/* tlog-tiles: a checkpoint must not be cached beyond a few seconds; nor what changes with it. */
#define PUBLISHED_CACHE "max-age=2"

struct published_head {
    atomic_uint refs;
    struct head head;
    struct buf note; /* with all cosignatures */
    size_t cosignatures;
    char etag[40];              /* with its quotes */
    struct http_shared *answer; /* to who asks for it */
};

struct published;
struct published *published_new(void); /* showing nothing; NULL where memory is short */
void published_free(struct published *published);

/* Shows `newest`, and `fullest` (may be NULL, or the same) where it has more cosignatures. ERR_ENV: nothing changed. */
enum err published_show(struct published *published, const struct signed_head *newest, const struct signed_head *fullest,
                        struct why *why);
/* Shows nothing: the policy changed, and the head is not under the new quorum yet. */
void published_hide(struct published *published);

/* What is shown now; both NULL where nothing is. To be released. */
struct published_view {
    struct published_head *newest, *fullest; /* never one without the other */
};
struct published_view published_take(struct published *published);
void published_release(struct published_view *view);
/* The head to prove entry `index` against: the one with the most cosignatures that covers it. */
const struct published_head *published_head_for(const struct published_view *view, uint64_t index);

/* When something was last shown, by the monotonic clock; 0 where nothing ever was. */
uint64_t published_at_ms(struct published *published);

#endif
