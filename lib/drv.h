/*
 * Nix derivations: the ATerm text of a .drv file. "Derive(" only, no white space, nothing after the last parenthesis.
 */
#ifndef STELE_DRV_H
#define STELE_DRV_H

#include "lib/storepath.h"

struct drv_output {
    struct span name;
    struct span path;      /* empty for a floating content-addressed output */
    struct span hash_algo; /* "r:sha256", "sha256" …; empty where input-addressed */
    struct span hash;      /* hex; empty where floating */
    bool impure;           /* "impure" stands for the hash: floating, and each build may give another result */
};

struct drv_input {
    struct span path; /* the .drv */
    struct span *outputs;
    size_t outputs_n;
};

struct drv_env {
    struct span name, value;
};

struct drv {
    struct drv_output *outputs;
    size_t outputs_n;
    struct drv_input *inputs;
    size_t inputs_n;
    struct span *sources;
    size_t sources_n;
    struct span system, builder;
    struct span *args;
    size_t args_n;
    struct drv_env *env;
    size_t env_n;
    struct buf storage; /* unescaped strings */
};

/* Parses the text of a derivation of the store folder `dir`. Borrows from `text` and own storage. Every list but `args` is
 * sorted by name or path, in whatever order it stands there. ERR_MALFORMED with the byte's place, also for an item that a
 * list names twice. */
enum err drv_parse(struct drv *out, struct span text, struct span dir, struct why *why);
void drv_free(struct drv *drv);
const struct drv_output *drv_output_find(const struct drv *drv, struct span name);
bool drv_is_fixed(const struct drv *drv);    /* its one output's hash is given */
bool drv_is_floating(const struct drv *drv); /* some output is content-addressed without a given hash */

/* The modulo hash of an input-addressed derivation (hashDerivationModulo), as its users see it, or `masked` (its own output
 * paths left out) as its own output paths are made of it. `modulo` gives that of each output of an input derivation; NULL
 * where there are none. */
struct drv_modulo {
    enum err (*of)(void *ctx, struct span drv_path, struct span output, struct hash *out, struct why *why);
    void *ctx;
};
enum err drv_hash_modulo(const struct drv *drv, bool masked, const struct drv_modulo *modulo, struct hash *out, struct why *why);
/* That of a fixed output whose path drv_check_outputs found right. */
enum err drv_fixed_modulo(const struct drv_output *output, struct hash *out, struct why *why);

/* Checks that the output paths, and the environment variables that name them, are those that this derivation gives, and
 * that its outputs are of one kind. Floating outputs, and those that rest on one, are not checked. `name` is the
 * derivation's name (its path's, without ".drv"). ERR_REFUSED where something does not fit. */
enum err drv_check_outputs(const struct drv *drv, struct span dir, struct span name, const struct drv_modulo *modulo,
                           struct why *why);

#endif
