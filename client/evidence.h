/*
 * From proof bundles to evidence: every proof parsed, verified under the policy, its envelope verified and its statement
 * read. Pure (no file, no network): the gate's judge process uses it behind its sandbox.
 */
#ifndef STELE_CLIENT_EVIDENCE_H
#define STELE_CLIENT_EVIDENCE_H

#include "lib/dsse.h"
#include "lib/proof.h"
#include "lib/trust.h"

/* A checkpoint, held against the policy once for all the bundles that share it. */
struct evidence_head {
    char *note; /* verbatim */
    size_t note_len;
    bool proven;       /* it satisfies the policy; otherwise `why_not` */
    bool quorum_short; /* the log signed it, but too few witnesses did */
    struct why why_not;
    struct policy_view view;  /* borrows from `note`; whole where proven or quorum_short */
    char *origin, *witnesses; /* names in the policy, comma separated; NULL where not proven */
};
/* All that were met, newest last: for bundle after bundle under one policy, by one thread. Zeros to begin with. */
struct evidence_heads {
    struct evidence_head **items;
    size_t n;
};
void evidence_heads_free(struct evidence_heads *heads);
/* Was this one met? */
bool evidence_heads_have(const struct evidence_heads *heads, struct span note);
/* Drops all of them where there are more than `most`: between two uses, by whoever keeps them for long. */
void evidence_heads_trim(struct evidence_heads *heads, size_t most);

struct evidence_item {
    char *source;       /* where the bundle came from: "sidecar http://…", "log example.org/log", "own store" */
    bool proven;        /* proof, quorum and envelope hold and the statement parses */
    struct why why_not; /* where not proven */
    uint64_t index;
    struct evidence_head *head; /* NULL where it did not come so far */
    const char *origin;
    char *proof_text; /* this proof alone, verbatim; NULL in lean evidence */
    size_t proof_len;
    struct vkey key;               /* that signed; borrows from `entry` */
    struct buf entry, payload;     /* the envelope and its payload */
    struct statement statement;    /* borrows from payload */
    const struct subject *subject; /* of the path asked for; NULL where it names another */
    size_t cosignatures;
    const char *witnesses; /* names in the policy, comma separated */
    uint64_t newest_time_s;
    struct hash root;
    uint64_t tree_size;
};

struct evidence {
    struct evidence_item **items;
    size_t n;
    bool lean;                     /* set by the caller: the proofs' texts are not kept */
    struct evidence_item **places; /* the proven ones, by origin and index: a hash table */
    size_t places_cap, proven_n;
    struct evidence_heads own_heads; /* where `heads` is NULL */
    struct evidence_heads *heads;    /* the caller's, to share them; it must outlive the evidence */
};

void evidence_free(struct evidence *evidence);
/* Adds all proofs of `bundles`. A proof that fails becomes an item with its reason, as does one that does not parse, and takes no
 * other with it; where not even its lines are a proof's, all that is left is one item saying so. The same (origin, index) proven
 * twice is kept once. `path` may be NULL (no subject is looked for). ERR_ENV only where memory is short. */
enum err evidence_add(struct evidence *evidence, struct span bundles, const char *source, const struct policy *policy,
                      const struct storepath *path, struct why *why);
/* The next one out of `bundles`, which must not be empty. For as many bundles as there may be: take one, and evidence_clear, which
 * keeps the heads and the memory. */
enum err evidence_add_one(struct evidence *evidence, struct span *bundles, const char *source, const struct policy *policy,
                          const struct storepath *path, struct why *why);
void evidence_clear(struct evidence *evidence);
/* The proven items that name the path, as trust_judge wants them: an array that the caller frees; *map (may be NULL; freed by the
 * caller) gives each one's item number. */
enum err evidence_for_trust(const struct evidence *evidence, struct trust_evidence **out, size_t *n, size_t **map, struct why *why);

#endif
