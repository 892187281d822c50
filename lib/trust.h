/*
 * The trust file: who may vouch for which store paths (spec/trust.md).
 *
 * trust_judge is pure: the caller verifies proofs, envelopes and cache signatures first, and hands over what they say.
 */
#ifndef STELE_TRUST_H
#define STELE_TRUST_H

#include "lib/narinfo.h"
#include "lib/note.h"
#include "lib/quorum.h"
#include "lib/statement.h"

struct trust_party {
    struct span name; /* in the trust file */
    bool cache;
    struct vkey key;        /* a builder's */
    struct nix_key nix_key; /* a cache's */
};

struct trust_quorum {
    uint32_t node;
    struct span globs; /* the rest of the line: words; empty for the default */
    unsigned line;
};

struct trust_revocation {
    uint32_t party;
    bool all; /* no FROM: nothing of it counts in any origin */
    uint64_t from_index;
    struct span origin;
};

struct trust {
    char *text;                  /* owned */
    struct trust_party *parties; /* party i is leaf i of the quorum */
    size_t parties_n;
    struct quorum quorum;
    struct trust_quorum *quorums;
    size_t quorums_n;
    struct trust_revocation *revocations;
    size_t revocations_n;
    struct span *exempt;
    size_t exempt_n;
    bool backfill_accept, backfill_bounded;
    uint64_t backfill_before;
    struct span backfill_origin;
    bool fixed_output_require, divergence_refuse, inputs_attested;
};

/* Parses a copy of `text`; `file` names it in errors. ERR_MALFORMED with file and line. */
enum err trust_parse(struct trust *out, struct span text, const char *file, struct why *why);
void trust_free(struct trust *trust);
/* The builder with this key, or -1. */
int64_t trust_builder(const struct trust *trust, const struct vkey *key);
/* The quorum line for a store path's name: the last whose glob matches, else the default. */
const struct trust_quorum *trust_quorum_for(const struct trust *trust, struct span name);
/* The Nix keys of the `cache` lines, in the order of parties; the count is returned. */
size_t trust_cache_keys(const struct trust *trust, struct nix_key *keys, uint32_t *parties, size_t max);
/* Has the cache a `revoke` line? Its signatures are in no log, and count nowhere then. */
bool trust_cache_revoked(const struct trust *trust, uint32_t party);

/* What a path is said to be: an upstream's narinfo, or a store's database. */
struct trust_path {
    struct storepath path;
    struct hash nar_hash;
    uint64_t nar_size;
    struct hash references_digest;
    bool content_addressed;   /* `ca` was recomputed and gives this path, by a fixed-output method */
    const bool *cache_signed; /* a flag a party: its Nix signature verified; NULL where none did */
    bool looked_up;           /* every log of the policy answered a look-up of this path: what `divergence refuse` needs */
};

/* One attestation of this path that was proven under the policy. */
struct trust_evidence {
    const struct vkey *key;
    const struct statement *statement;
    const struct subject *subject; /* the one that names this path */
    struct span origin;
    uint64_t index;
};

/* `inputs attested`: asked for each attestation that would count. Does every recorded input of its statement satisfy the
 * trust file, down to ground? Where not, `reason` says where the trail ends. ERR_ENV. */
struct trust_inputs {
    enum err (*attested)(void *ctx, const struct trust_evidence *evidence, bool *out, struct why *reason, struct why *why);
    void *ctx;
};

enum trust_verdict {
    TRUST_ATTESTED, /* the quorum's builders built exactly this */
    TRUST_VOUCHED,  /* the quorum is met, but only with caches that served it */
    TRUST_FIXED,    /* fixed-output and content is its name */
    TRUST_EXEMPT,
    TRUST_REFUSED,
};

/* Why one piece of evidence counts or not: for `stele why`. */
enum trust_reason {
    COUNTS,
    NOT_A_BUILDER, /* no builder line has this key */
    NOT_IN_QUORUM, /* a builder, but not of this path's quorum */
    REVOKED,
    FOREIGN, /* not a complete urn:stele:nix-build:v1 statement */
    BACKFILL_REFUSED,
    OTHER_BYTES, /* NAR hash or size differ */
    OTHER_REFERENCES,
    OTHER_PATH,
    CONTRADICTS_ITSELF, /* the builder logged two results and `divergence refuse` holds */
    INPUTS_UNATTESTED,  /* `inputs attested` holds, and the trail of its inputs ends before ground */
};

struct trust_result {
    enum trust_verdict verdict;
    const struct trust_quorum *quorum; /* the line that applied; NULL where none was asked */
    bool counted[TRUST_BUILDERS_MAX];  /* which parties said yes */
    bool divergence;                   /* a trusted builder attested other bytes */
    bool wants_look_up;                /* refused only for want of a look-up: `divergence refuse` */
    struct why trail;                  /* where the trail of an attestation with INPUTS_UNATTESTED ends */
    struct why why;                    /* one sentence: why it passes, or why not */
};

/* `reasons` (n, may be NULL) says for each piece of evidence why it counts or not. `inputs` NULL: no trail can be followed, so
 * that under `inputs attested` no attestation counts. ERR_ENV where memory is short, or from `inputs`. */
enum err trust_judge(const struct trust *trust, const struct trust_path *path, const struct trust_evidence *evidence, size_t n,
                     const struct trust_inputs *inputs, enum trust_reason *reasons, struct trust_result *out, struct why *why);
/* Is it a backfill that the trust file does not accept? For a statement that is not foreign. */
bool trust_backfill_refused(const struct trust *trust, const struct trust_evidence *evidence);
/* "all of a, b", "2 of a, b, c", or a leaf's name. */
void trust_put_group(struct buf *out, const struct trust *trust, uint32_t node);
/* What the quorum of a refused path lacks, a line a group that is not satisfied, from the top. ERR_ENV. */
enum err trust_missing(struct buf *out, const struct trust *trust, const struct trust_result *result, struct why *why);
const char *trust_reason_text(enum trust_reason reason);
const char *trust_verdict_name(enum trust_verdict verdict);

#endif
