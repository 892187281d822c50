/*
 * `inputs attested` for a path of the local store or of a cache that is looked at: its trail, followed at the first question about
 * it. What `audit` and `verify PATH` share.
 */
#ifndef STELE_CLIENT_LOCAL_TRAIL_H
#define STELE_CLIENT_LOCAL_TRAIL_H

#include "client/local.h"
#include "client/trail.h"

struct local_trail {
    struct local *local;
    const struct trust_path *path;
    const struct span *proofs; /* all that is known of the path itself: it is not asked for once more */
    size_t proofs_n;
    struct trail_memory *memory; /* NULL for none */
    struct buf *troubles;        /* a line for each source that could not be asked */
    struct trail *trail;         /* NULL until somebody asks */
};

/* Who answers for the inputs, for trust_judge; lasts as long as the trail. */
struct trust_inputs local_trail_inputs(struct local_trail *trail);
void local_trail_free(struct local_trail *trail);

#endif
