/*
 * What client/build.c and client/rebuild.c share: one attestation while it is put together.
 */
#ifndef STELE_CLIENT_BUILD_INTERNAL_H
#define STELE_CLIENT_BUILD_INTERNAL_H

#include "client/build_inputs.h"

struct making {
    const struct build *build;
    struct storepath drv_path;
    struct span drv_name; /* without ".drv" */
    struct drv drv;
    struct buf drv_text;
    bool drv_found;
    struct build_inputs inputs;
    struct nixdb_info *infos; /* of the outputs */
    struct subject *subjects;
    size_t n;
    uint64_t bytes; /* of the outputs */
    enum build_refusal refusal;
    char **kept; /* strings that the subjects borrow from */
    size_t kept_n;
};

/* The derivation's path and, where its file is there, its text. */
enum err making_start(struct making *making, struct why *why);
/* Room for `n` outputs. */
enum err making_room(struct making *making, size_t n, struct why *why);
/* The output's name: by the derivation where its path stands there, else by the path's own name. */
struct span making_output_name(const struct making *making, const struct storepath *path);
/* Does the derivation make this path? Where it cannot say which path, by name; where it is not there, by the database. */
bool making_is_output(const struct making *making, const struct storepath *path, const struct nixdb_info *info);
/* A copy that lives as long as `making`; NULL where memory is short. */
char *making_keep(struct making *making, struct span text);
/* Inputs, and the signature over all. The subjects get the order of outputs. */
enum err making_finish(struct making *making, struct attestation *out, struct why *why);
void making_free(struct making *making);

#endif
