/*
 * What a log answered to letters, held against the policy: for each letter a tlog-proof of exactly its bytes, under a checkpoint
 * that satisfies the quorum. Nothing else that an answer may hold counts: garbage, wrong proofs, others' bundles.
 *
 * The envelopes' own signatures are not verified here: they are ours, and what is proven is that their bytes are in the log.
 */
#ifndef STELE_CLIENT_ANSWER_H
#define STELE_CLIENT_ANSWER_H

#include "client/letters.h"
#include "lib/proof.h"

struct answer_reader {
    const struct policy *policy;
    void *ctx;
    /* A checkpoint that satisfies the policy, once before its first proof; where it fails none of its proofs counts. */
    enum err (*head)(void *ctx, const struct checkpoint *checkpoint, struct span note, struct why *why);
    /* A letter whose proof holds. An error ends the reading. */
    enum err (*proven)(void *ctx, struct letter *letter, const struct proof *proof, const struct policy_view *view,
                       struct why *why);

    /* Set by answer_read: */
    size_t proven_n;
    bool quorum_short;  /* some proof wanted nothing but more cosignatures */
    struct why why_not; /* of a letter that was not proven; empty where all were */
};

/* Reads proof bundles for the n letters. Those proven become LETTER_PROVEN, after `proven` was called. Only its error, and lack
 * of memory, is one of answer_read's. */
enum err answer_read(struct answer_reader *reader, struct span bundles, struct letter *const *letters, size_t n, struct why *why);

#endif
