/*
 * What a build could see: the direct inputs as really used, and the digest of their closure.
 */
#ifndef STELE_CLIENT_BUILD_INPUTS_H
#define STELE_CLIENT_BUILD_INPUTS_H

#include "client/build.h"
#include "lib/drv.h"

struct build_inputs {
    struct input *items; /* sorted by path */
    size_t n;
    struct hash closure;
    char **strings; /* what the items borrow from */
    size_t strings_n;
};

/* ERR_REFUSED, and *refusal, where an input is not there any more, or the derivation was built in its resolved form. */
enum err build_inputs_load(const struct build *build, const struct drv *drv, struct build_inputs *out, enum build_refusal *refusal,
                           struct why *why);
void build_inputs_free(struct build_inputs *inputs);

/* Reads and parses a .drv of the store. *found is false where its file is not there (a remote builder has only an outline).
 * The derivation borrows from *text; free both. */
enum err build_drv_load(const struct build *build, const char *path, struct drv *out, struct buf *text, bool *found,
                        struct why *why);

#endif
