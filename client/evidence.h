/*
 * From proof bundles to evidence: every proof parsed, verified under the policy, its envelope verified and its statement
 * read. Pure (no file, no network): the gate's judge process uses it behind its sandbox.
 */
#ifndef STELE_CLIENT_EVIDENCE_H
#define STELE_CLIENT_EVIDENCE_H

#include "lib/dsse.h"
#include "lib/proof.h"
#include "lib/trust.h"

struct evidence_item {
    char *source;       /* where the bundle came from: "sidecar http://…", "log example.org/log", "own store" */
    bool proven;        /* proof, quorum and envelope hold and the statement parses */
    struct why why_not; /* where not proven */
    uint64_t index;
    char *origin;
    char *proof_text; /* this proof alone, verbatim */
    size_t proof_len;
    char *key_text; /* the vkey that signed; `key` borrows from it */
    struct vkey key;
    struct buf entry, payload;     /* the envelope and its payload */
    struct statement statement;    /* borrows from payload */
    const struct subject *subject; /* of the path asked for; NULL where it names another */
    size_t cosignatures;
    char *witnesses; /* names in the policy, comma separated */
    uint64_t newest_time_s;
    struct hash root;
    uint64_t tree_size;
};

struct evidence {
    struct evidence_item **items;
    size_t n;
    char *checked_note; /* the checkpoint verified last, and what it showed: bundles share checkpoints */
    size_t checked_len;
    struct policy_view *checked_view;
};

void evidence_free(struct evidence *evidence);
/* Adds all proofs of `bundles`. A proof that fails becomes an item with its reason; a bundle whose rest does not parse adds one
 * item saying so. The same (origin, index) proven twice is kept once. `path` may be NULL (no subject is looked for).
 * ERR_ENV only where memory is short. */
enum err evidence_add(struct evidence *evidence, struct span bundles, const char *source, const struct policy *policy,
                      const struct storepath *path, struct why *why);
/* The proven items that name the path, as trust_judge wants them: an array that the caller frees; *map (may be NULL; freed by the
 * caller) gives each one's item number. */
enum err evidence_for_trust(const struct evidence *evidence, struct trust_evidence **out, size_t *n, size_t **map, struct why *why);

#endif
