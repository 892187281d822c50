/*
 * The attestation's payload: an in-toto Statement v1 with SLSA provenance v1 of buildType urn:stele:nix-build:v1
 * (spec/attestation.md).
 *
 * Rendering gives the one form in which Stele writes statements. Parsing takes any JSON without repeated members: other
 * statements are `foreign`, logged and shown but never counted.
 */
#ifndef STELE_STATEMENT_H
#define STELE_STATEMENT_H

#include "lib/hash.h"
#include "lib/json.h"
#include "lib/limits.h"

#define STATEMENT_TYPE     "https://in-toto.io/Statement/v1"
#define SLSA_PROVENANCE_V1 "https://slsa.dev/provenance/v1"
#define NIX_BUILD_TYPE     "urn:stele:nix-build:v1"

enum claim {
    CLAIM_BUILD,    /* it ran the build, just now */
    CLAIM_REBUILD,  /* it built again to compare */
    CLAIM_BACKFILL, /* the path is marked as built here, but the build was not watched */
};

enum input_kind { INPUT_SOURCE, INPUT_FIXED, INPUT_OUTPUT };

/* A subject: one output that was built. */
struct subject {
    struct span path; /* the full store path */
    struct hash nar_hash;
    struct span output; /* "out" */
    uint64_t nar_size;
    struct span *references; /* base names, sorted; NULL where only their digest is known (none at all is an empty list) */
    size_t references_n;
    struct hash references_digest; /* SHA-256 over the sorted base names, each with a newline; always set */
};

struct input {
    struct span path;
    struct hash nar_hash;
    enum input_kind kind;
    struct span derivation;  /* of INPUT_FIXED and INPUT_OUTPUT */
    struct span *references; /* a source's, where it has any */
    size_t references_n;
};

struct statement {
    struct json json; /* owned by a parsed statement; its spans borrow from it */
    bool foreign;     /* not urn:stele:nix-build:v1, or not complete: never counts */
    struct why why_foreign;
    struct subject *subjects; /* for a foreign one: those that are store paths with a sha256 digest */
    size_t subjects_n;
    struct span build_type; /* empty where the predicate is none of SLSA provenance v1 */
    /* Set only where not foreign: */
    struct span derivation;
    struct span *outputs; /* externalParameters.outputs */
    size_t outputs_n;
    struct span source_flake, source_revision, source_attribute; /* the builder's word; empty where not given */
    enum claim claim;
    struct span system, store_dir;
    struct span sandbox;    /* Nix's setting at the time, the builder's word: see statement_sandbox; empty where not known */
    bool inputs_recorded;   /* false: internalParameters.inputs is "unrecorded" */
    struct hash closure;    /* where inputs are recorded */
    bool has_input_list;    /* the inputs stand in a list of their own */
    struct hash input_list; /* its SHA-256 */
    struct input *inputs;   /* sorted by path; none where has_input_list */
    size_t inputs_n;
    struct span key_name;      /* from builder.id, without https:// and /backfill */
    struct span stele_version; /* runDetails.builder.version */
    struct span nix_version;   /* empty where unknown */
};

/* Parses a payload. ERR_MALFORMED where it is no Statement v1, repeats a member, or has no subject that is a store path
 * with a digest.sha256. A statement of our buildType that is incomplete or contradicts itself (wrong builder.id for its
 * claim, a derivation or subject outside storeDir, references unsorted …) is foreign, with the reason. */
enum err statement_parse(struct statement *out, struct span payload, struct why *why);
/* Frees what parsing allocated. */
void statement_free(struct statement *statement);
/* The key name that builder.id states must be that of the envelope's keyid (spec/attestation.md): ERR_MALFORMED. */
enum err statement_check_key(const struct statement *statement, struct span key_name, struct why *why);

/* Renders a statement in its one form. Where references or inputs do not fit an entry of ENTRY_BYTES_MAX, they are given
 * by digest: `input_list` gets the list that must travel with it (empty where it is not needed). ERR_ENV. */
enum err statement_render(struct buf *out, const struct statement *statement, struct buf *input_list, struct why *why);

/* SHA-256 over sorted base names, each with a newline. */
struct hash references_digest(const struct span *names, size_t n);

/* The input list: sorted lines "PATH HEX KIND[ DERIVATION]\n". */
void input_list_render(struct buf *out, const struct input *inputs, size_t n);
/* ERR_MALFORMED where a line is, or where they are not sorted. Borrows from `text`; the caller frees *inputs. */
enum err input_list_parse(struct span text, struct input **inputs, size_t *n, struct why *why);

/* Adds one line of the closure digest: SHA-256 over "PATH HEX\n" in the order of paths; the caller sorts. */
void closure_digest_add(struct sha256 *state, struct span path, const struct hash *nar_hash);

/* `text` where it is a value of Nix's setting `sandbox`: "true", "false" or "relaxed"; NULL for anything else. */
const char *statement_sandbox(struct span text);
const char *claim_name(enum claim claim);
const char *input_kind_name(enum input_kind kind);

#endif
