/*
 * c2sp.org/tlog-proof: an entry's inclusion under a checkpoint, verifiable offline. Several are concatenated without a
 * separator (spec/bundle.md) and split by grammar.
 */
#ifndef STELE_PROOF_H
#define STELE_PROOF_H

#include "lib/policy.h"

struct proof {
    struct span extra_base64; /* validated; empty data is allowed: has_extra tells */
    bool has_extra;
    uint64_t index;
    struct hash hashes[PROOF_HASHES_MAX];
    size_t n;
    struct span checkpoint; /* the signed note, verbatim */
    struct span text;       /* the whole proof, verbatim */
};

/* One of many, by its lines alone: nothing is decoded, and a proof that has an outline may still be malformed. */
struct proof_outline {
    uint64_t index;
    struct span checkpoint, text; /* as in struct proof */
};

/* Takes the next proof's outline out of `rest`; false, and nothing taken, where its lines are none of a proof's. For any proof
 * that proof_next takes it is the same text. */
bool proof_outline_next(struct proof_outline *out, struct span *rest);

/* Exactly one proof. ERR_MALFORMED, naming the line. */
enum err proof_parse(struct proof *out, struct span text, struct why *why);
/* Takes the next proof out of `rest`, which must not be empty. */
enum err proof_next(struct proof *out, struct span *rest, struct why *why);
/* The same, for one of many: the decoded extra data is appended to `extra`, and a checkpoint that is the note `known`, which was
 * parsed before, is not parsed again. */
enum err proof_next_of_many(struct proof *out, struct span *rest, struct span known, struct buf *extra, struct why *why);
/* `extra` may be NULL; it is the decoded bytes. */
void proof_render(struct buf *out, const struct span *extra, uint64_t index, const struct hash *hashes, size_t n,
                  struct span checkpoint);
/* Appends the decoded extra data; false where there is none or memory is short. */
bool proof_extra(const struct proof *proof, struct buf *out);

/* Is the entry with this leaf hash at proof->index under the policy? First the checkpoint, then the inclusion.
 * ERR_MALFORMED or ERR_REFUSED. `view` as policy_check gives it. */
enum err proof_verify(const struct proof *proof, const struct hash *leaf, const struct policy *policy, struct policy_view *view,
                      struct why *why);
/* The inclusion alone, under a checkpoint that was verified before: many proofs share one. */
enum err proof_verify_inclusion(const struct proof *proof, const struct hash *leaf, const struct checkpoint *checkpoint,
                                struct why *why);

#endif
