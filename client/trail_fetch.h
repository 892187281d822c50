/*
 * What a trail wants, fetched: proofs from the own store and the logs, in bulk; input lists from the logs; narinfos from the
 * store's database and the upstream caches. Trouble with a source is noted, never an error: fewer proofs can only break a trail.
 */
#ifndef STELE_CLIENT_TRAIL_FETCH_H
#define STELE_CLIENT_TRAIL_FETCH_H

#include "client/gather.h"
#include "client/trail.h"
#include "lib/sys/nixdb.h"

struct trail_sources {
    const struct client_config *config;
    const struct policy *policy;
    const struct trust *trust;  /* logs are asked for the attestations of its builders alone */
    struct http_client *client; /* NULL: nobody is asked; allow_file for file:// upstreams */
    struct nixdb *db;           /* NULL: none; with `env` */
    const struct nix_env *env;
};

/* Who takes what was fetched: a trail of this process, or one behind the gate's signer. As trail_feed_* say. */
struct trail_sink {
    enum err (*proofs)(void *ctx, struct span asked, struct span bundles, const char *source, struct why *why);
    enum err (*list)(void *ctx, struct span hex, struct span list, struct why *why);
    enum err (*info)(void *ctx, struct span hash_part, struct span narinfo, struct why *why);
    void (*not_asked)(void *ctx); /* a log gave no answer, or has no address */
    void *ctx;
};

/* One round: everything that `wants` names is handed on, also where there is none. A line of `troubles` for each source that
 * could not be asked. ERR_ENV where memory is short, or what the sink returns. */
enum err trail_fetch(const struct trail_sources *sources, const struct trail_wants *wants, const struct trail_sink *sink,
                     struct buf *troubles, struct why *why);

#endif
