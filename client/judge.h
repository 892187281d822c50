/*
 * One store path, as an upstream cache describes it, held against the policy and the trust file: what the gate's signer
 * decides, and what `stele why` explains. Pure: no file, no network.
 */
#ifndef STELE_CLIENT_JUDGE_H
#define STELE_CLIENT_JUDGE_H

#include "client/evidence.h"

struct judge {
    struct policy policy;
    struct trust trust;
    bool warn;                  /* `mode warn` */
    struct trust_inputs inputs; /* who follows the trail of `inputs attested`; none where `attested` is NULL */
};

/* Proof bundles, and where they came from: "sidecar http://…", "log example.org/log", "own store". */
struct judge_source {
    const char *name;
    struct span bundles;
};

struct judge_verdict {
    bool passes;
    bool by_warning; /* passes although the trust file says no: `mode warn` */
    bool sign;       /* the gate's signature goes on it: content-addressed paths go without */
    struct trust_result result;
    struct why why;      /* one sentence: what passed it, or why not */
    struct buf tree;     /* the whole reasoning, a few indented lines */
    struct narinfo info; /* what the upstream said; borrows from the text judged */
    struct evidence evidence;
    bool *counts;                          /* a flag an item of the evidence: it counted towards the quorum */
    const char **reasons;                  /* a text an item: why it counts or not; where not proven, the item itself says why */
    struct buf advice;                     /* of what did not pass: what would make it pass, a sentence a line */
    struct span deriver;                   /* the attested deriver's base name, else the upstream's; may be empty */
    struct nix_sig sigs[NARINFO_SIGS_MAX]; /* the upstream signatures that verify under a `cache` line */
    size_t sigs_n;
};

/* What is to be judged: an upstream's narinfo of hash part `hash_part` in store folder `dir`, and all proofs that were found. */
struct judge_question {
    struct span narinfo, dir, hash_part;
    const struct judge_source *sources;
    size_t n;
    bool looked_up;               /* every log of the policy was asked for this path, and answered */
    struct evidence_heads *heads; /* kept from one question to the next, by the caller; NULL: none are */
};

/* A malformed narinfo, or one of another path, is a verdict too (it does not pass). ERR_ENV only where memory is short. Free the
 * verdict in any case. */
enum err judge_narinfo(const struct judge *judge, const struct judge_question *question, struct judge_verdict *out,
                       struct why *why);
void judge_verdict_free(struct judge_verdict *verdict);

/* What a narinfo says of its path, as trust_judge and a trail want it. */
struct trust_path judge_path(const struct narinfo *info);

/* "builder NAME, index N in ORIGIN, cosigned by W, …" for the attestations that counted, joined by "; ". */
void judge_summary(struct buf *out, const struct judge *judge, const struct judge_verdict *verdict);

#endif
