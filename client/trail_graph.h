/*
 * What a trail is made of: store paths (places), the versions of them that builds used (nodes), attestations (builds), and the
 * outputs that these name (steps). Everything is named by its number in a table; NONE is no number. For client/trail*.c and
 * `stele trace` alone.
 */
#ifndef STELE_CLIENT_TRAIL_GRAPH_H
#define STELE_CLIENT_TRAIL_GRAPH_H

#include "client/prove.h"
#include "client/trail.h"
#include "client/trail_memory.h"
#include "lib/arena.h"

#define NONE UINT32_MAX

/* Design invariant 9: what is beyond is broken, and says so. */
enum {
    TRAIL_PLACES_MAX = 400000,
    TRAIL_INPUTS_MAX = 4000000,     /* of all attestations followed, with the references of all paths */
    TRAIL_ROUNDS_MAX = 20000,       /* questions asked when all before were answered: the depth of a trail */
    TRAIL_CLOSURE_LINES = 20000000, /* hashed for closure digests: some seconds */
    TRAIL_CLOSURE_TRIES = 64,       /* combinations, where paths of a closure are complete in several versions */
};

/* How a version is spoken of. */
enum {
    AS_SOURCE = 1,
    AS_FIXED = 2,
    AS_OUTPUT = 4,
    AS_ASKED = 8,      /* it is what the trail was asked about */
    AS_REFERENCE = 16, /* a path refers to it */
};

enum basis { NOTHING, BASIS_ATTESTED, BASIS_VOUCHED, BASIS_EXEMPT, BASIS_GROUND, BASIS_REMEMBERED };

/* Numbers [from, from + n) of trail->references: places. */
struct refs {
    uint32_t from, n;
    bool known; /* false: taken for none, and the digest of a closure tells */
};

/* From a narinfo. */
struct trail_info {
    struct hash nar_hash, references_digest;
    uint64_t nar_size;
    struct refs refs;
    bool fits;                /* its CA gives the path */
    const bool *cache_signed; /* a flag a party of the trust file */
};

struct trail_place {
    struct storepath path;
    uint32_t node, step;           /* the first of each */
    uint32_t same_part;            /* the next place with this hash part: routes name paths by it */
    uint32_t strangers;            /* proven attestations by keys that the trust file does not name */
    const struct trail_info *info; /* NULL: none */
    bool wanted, asked, answered, info_wanted, info_asked, info_answered, referenced;
    bool built; /* a builder of the trust file says that it built it */
};

struct trail_node {
    uint32_t place, next; /* the next version of the place */
    struct hash nar_hash;
    uint8_t claims;
    bool queued, remembered;
    enum trust_verdict hope; /* what the trust file would say if every trail were complete */
    struct refs refs;        /* of ground, and of what is remembered; when settled of every complete one */
    enum basis basis;        /* when settled */
    struct why why;          /* the trust file's sentence */
};

enum build_state {
    BUILD_OPEN, /* some input is not complete: `culprit` is its node */
    BUILD_COMPLETE,
    BUILD_CLOSURE_OPEN, /* no version of a path in its inputs' closure is complete: `culprit` is the place */
    BUILD_CLOSURE_WRONG,
    BUILD_CLOSURE_LARGE,
};

/* One attestation by a builder of the trust file. */
struct trail_build {
    uint32_t party, origin; /* origin: number of the policy's log */
    uint64_t index;
    enum claim claim;
    bool foreign, recorded, has_list, list_wanted, list_missing, followed;
    struct hash list, closure;
    struct span derivation, witnesses;
    uint32_t input, inputs_n; /* in trail->inputs */
    uint32_t step;            /* the first of its outputs */
    enum build_state state;   /* when settled */
    uint32_t culprit, pending;
};

struct trail_input {
    uint32_t place, node;
    struct hash nar_hash;
    enum input_kind kind;
    struct refs refs;
};

/* One output that an attestation names. */
struct trail_step {
    uint32_t place, next, build, next_of_build;
    struct subject subject; /* without `references` */
    struct refs refs;
    enum trust_reason reason; /* if every trail were complete */
};

struct table {
    void *items;
    uint32_t n, cap;
};

struct trail {
    struct trail_config config;
    struct prover *prover;
    struct arena arena;
    struct table places, nodes, builds, steps, inputs, references; /* references: uint32_t, places */
    uint32_t *place_slots, *build_slots;                           /* hash tables: the first place of a hash part, builds */
    uint32_t place_slots_n, build_slots_n;
    struct table queue;                              /* nodes to look at */
    struct table wanted, lists_wanted, infos_wanted; /* places, builds, places */
    struct table lists_asked;                        /* builds */
    struct buf asks, lists, infos;                   /* what the last wants borrow */
    struct buf heads;                                /* for trail_heads */
    bool *asked_cache_signed;
    struct trust_path asked;
    uint32_t root;
    uint32_t rounds, bad_proofs;
    uint32_t open;                  /* asked for and not fed yet: places, lists and narinfos */
    bool too_large, unasked;        /* unasked: some log could not be asked */
    bool notified;                  /* somebody is told what the prover has verified */
    struct why bad_proof;           /* the first that did not hold */
    struct statement statements[8]; /* what trust_judge reads of a statement, by `foreign` and claim */
    struct table evidence;          /* scratch */
    struct table reasons;
};

static inline struct trail_place *place_at(const struct trail *trail, uint32_t i)
{
    return (struct trail_place *)trail->places.items + i;
}
static inline struct trail_node *node_at(const struct trail *trail, uint32_t i)
{
    return (struct trail_node *)trail->nodes.items + i;
}
static inline struct trail_build *build_at(const struct trail *trail, uint32_t i)
{
    return (struct trail_build *)trail->builds.items + i;
}
static inline struct trail_step *step_at(const struct trail *trail, uint32_t i)
{
    return (struct trail_step *)trail->steps.items + i;
}
static inline struct trail_input *input_at(const struct trail *trail, uint32_t i)
{
    return (struct trail_input *)trail->inputs.items + i;
}
static inline uint32_t number_at(const struct table *table, uint32_t i)
{
    return ((const uint32_t *)table->items)[i];
}

/* Room for `more` items at the end, not counted yet; false where memory is short. */
bool table_room(struct table *table, size_t size, uint32_t more);
bool table_push_number(struct table *table, uint32_t number);

/* The place of a full path, made where it is missing; NONE with too_large set, or where memory is short. */
uint32_t trail_place(struct trail *trail, const struct storepath *path);
/* The first place with this hash part, NONE where there is none; `same_part` leads on. */
uint32_t trail_place_part(const struct trail *trail, struct span hash_part);
uint32_t trail_node_find(const struct trail *trail, uint32_t place, const struct hash *nar_hash);
/* The attestation at this index of this log, NONE where it is not known. */
uint32_t trail_build_find(const struct trail *trail, uint32_t origin, uint64_t index);
enum err trail_build_index(struct trail *trail, uint32_t build, struct why *why);
/* Takes an attestation's inputs into trail->inputs; too many set too_large. */
enum err trail_take_inputs(struct trail *trail, uint32_t build, const struct input *inputs, size_t n, struct why *why);
/* Base names, resolved in `dir`; too many set too_large. */
enum err trail_refs(struct trail *trail, struct span dir, const struct span *bases, size_t n, struct refs *out, struct why *why);

/* May this version pass without an attestation, as a source or a fixed output? */
bool trail_is_ground(const struct trail *trail, const struct trail_node *node);
/* Is another content recorded, or shown, under the same content address? */
bool trail_ground_contested(const struct trail *trail, const struct trail_node *node);
/* Holds a version against the trust file. `settled`: an attestation of these bytes counts only where its own trail is complete;
 * otherwise every one may, and the steps' reasons are set. `refs` (may be NULL): those of the attestation that counted, or the
 * narinfo's. */
enum err trail_judge(struct trail *trail, uint32_t node, bool settled, struct trust_result *out, struct refs *refs,
                     struct why *why);
/* Where the trail of a version, or of an attestation, ends; one sentence. After trail_settle. */
void trail_node_why(const struct trail *trail, uint32_t node, struct why *why);
void trail_build_why(const struct trail *trail, uint32_t build, struct why *why);
/* Is it one of the bytes asked for that may count? */
bool trail_step_counts(const struct trail_step *step, const struct trail_node *node);
/* Makes trail->prover. */
enum err trail_prover(struct trail *trail, struct why *why);
/* Finds all that is complete. */
enum err trail_settle(struct trail *trail, struct why *why);
/* All attestations of the paths with this hash part are here. */
enum err trail_answered(struct trail *trail, struct span hash_part, struct why *why);
/* Wants that place's attestations, or its narinfo. */
enum err trail_want(struct trail *trail, uint32_t place, bool info, struct why *why);
bool trail_wants_some(const struct trail *trail);
/* What is wanted, as trail_step gives it: asked for from now on, and open until it is fed. */
enum err trail_render_wants(struct trail *trail, struct trail_wants *out, struct why *why);

#endif
