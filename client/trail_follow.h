/*
 * A trail followed to its verdict: one thread asks the logs and caches, while what they answered before is verified and leads to
 * the next questions. What waits in between is bounded.
 */
#ifndef STELE_CLIENT_TRAIL_FOLLOW_H
#define STELE_CLIENT_TRAIL_FOLLOW_H

#include "client/trail_fetch.h"

/* A trail somewhere else: its steps, and who takes what was fetched for it. */
struct trail_elsewhere {
    enum err (*step)(void *ctx, struct trail_wants *wants, struct why *why); /* as trail_step */
    struct trail_sink sink;
};

/* A trail of this process. `sources` are used by another thread until it returns. A line of `troubles` for each source that could
 * not be asked. `progress` (may be NULL) is told how many paths were asked for. ERR_ENV, or what a step returns. */
enum err trail_follow(const struct trail_sources *sources, struct trail *trail, enum trail_state *out,
                      void (*progress)(size_t asked), struct buf *troubles, struct why *why);
/* The same where it is elsewhere, with the same thread calling all that `end` has. */
enum err trail_follow_elsewhere(const struct trail_sources *sources, const struct trail_elsewhere *end, enum trail_state *out,
                                struct buf *troubles, struct why *why);

#endif
