/*
 * From a derivation and Nix's database to a signed attestation: what the hook and `stele attest` share. It attests only
 * what the database marks as built here, and what still has the bytes that were registered.
 */
#ifndef STELE_CLIENT_BUILD_H
#define STELE_CLIENT_BUILD_H

#include "lib/statement.h"
#include "lib/sys/key.h"
#include "lib/sys/nixdb.h"

/* Why nothing is attested, for messages and counters (client/counts.h); a name each by build_refusal_name. */
enum build_refusal {
    REFUSAL_NONE,
    REFUSAL_NO_DERIVATION,    /* what is named is no .drv of this store */
    REFUSAL_NOT_VALID,        /* the database does not know the path */
    REFUSAL_NOT_BUILT_HERE,   /* substituted, copied, imported or registered: not marked as built here */
    REFUSAL_NO_OUTPUT,        /* of this derivation nothing was built here */
    REFUSAL_OTHER_DERIVATION, /* the path is no output of this derivation */
    REFUSAL_AMBIGUOUS,        /* several results of one output, and Nix did not say which is new */
    REFUSAL_TOO_EARLY,        /* a backfill of what was registered before this key began to build here */
    REFUSAL_ALTERED,          /* the files are not what was registered: an alarm */
    REFUSAL_INPUT_UNKNOWN,    /* an input is gone, so that what the build used cannot be told */
    REFUSAL_RESOLVED,         /* Nix built this derivation's resolved form, for which the hook ran, too: nothing is missing */
    REFUSAL_NOT_A_CHECK,      /* no result of a `--check` that Nix left, or one that does not differ */
    REFUSAL_NOT_ALLOWED,      /* the signing agent was asked by somebody whose builds it does not sign */
    REFUSAL_OTHER,
    REFUSALS_N,
};
const char *build_refusal_name(enum build_refusal refusal);

struct build {
    struct nixdb *db;
    const struct nix_env *env;
    const struct secret_key *key;
    enum claim claim;
    const char *drv_path;
    const char *const *outputs; /* full paths; n 0: those of the derivation that are valid and marked as built here */
    size_t outputs_n;
    bool pass_over;              /* outputs that were not built here are passed over, as long as one was; otherwise refused */
    uint64_t registered_after_s; /* a backfill refuses paths registered before; 0 for no bound */
    struct span source_flake, source_revision, source_attribute; /* the caller's word; empty where not given */
    const char *sandbox;                                         /* of statement_sandbox; NULL where not known */
    uint64_t hash_bytes_max; /* outputs of more bytes together are not hashed: the attestation is postponed */
};

struct attestation {
    enum build_refusal refusal; /* where build_attest said ERR_REFUSED */
    bool postponed;             /* all was checked but the bytes; nothing is signed */
    struct buf lines;           /* JSON lines, as POST /attestations takes them: the input list where needed, then the envelope */
    struct hash entry;          /* SHA-256 of the envelope */
    char **subjects;            /* the paths attested */
    struct hash *nar_hashes;    /* of each */
    size_t subjects_n;
};

/* ERR_REFUSED where it was not built here, or its bytes are not those registered; ERR_ENV, ERR_MALFORMED. */
enum err build_attest(const struct build *build, struct attestation *out, struct why *why);
void attestation_free(struct attestation *attestation);

#endif
