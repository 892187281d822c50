/*
 * NARs of store paths on disk: never follows a symlink, names in the order of bytes, files never whole in memory.
 */
#ifndef STELE_SYS_NARFS_H
#define STELE_SYS_NARFS_H

#include "lib/hash.h"

struct nar_sink {
    enum err (*take)(void *ctx, struct span bytes, struct why *why);
    void *ctx;
};

/* ERR_ENV for what cannot be read, changes while it is read, or is neither file, folder nor symlink. */
enum err nar_dump(const char *path, const struct nar_sink *sink, struct why *why);
/* The SHA-256 and length of a path's NAR. */
enum err nar_hash_path(const char *path, struct hash *hash, uint64_t *nar_size, struct why *why);

#endif
