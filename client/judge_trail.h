/*
 * The trail of the path that an upstream's narinfo describes, for judge_narinfo under `inputs attested`: what the gate's signer and
 * `stele why` share.
 */
#ifndef STELE_CLIENT_JUDGE_TRAIL_H
#define STELE_CLIENT_JUDGE_TRAIL_H

#include "client/judge.h"
#include "client/trail.h"

struct judge_trail {
    struct trail *trail; /* NULL: none was begun */
    char *text;          /* a copy of the narinfo, which the trail borrows from */
    size_t text_len;
    struct narinfo info;
};

/* Begins the trail anew, of this narinfo; `judge`, `memory` and `heads` (as in struct trail_config; both may be NULL) must outlive
 * it. None is begun where the narinfo is malformed. ERR_ENV where memory is short. */
enum err judge_trail_start(struct judge_trail *out, const struct judge *judge, struct trail_memory *memory,
                           const struct client_config *heads, struct span narinfo, struct span dir, struct why *why);
void judge_trail_free(struct judge_trail *trail);
/* Who answers for the inputs, where this narinfo is the one that the trail is of; nobody otherwise. */
struct trust_inputs judge_trail_inputs(const struct judge_trail *trail, struct span narinfo);

#endif
