/*
 * Paths of the store for `stele verify`, several at once: what takes long of one is waiting for logs.
 */
#ifndef STELE_CLIENT_VERIFY_PATHS_H
#define STELE_CLIENT_VERIFY_PATHS_H

#include "client/local.h"

enum { VERIFY_PATHS_MAX = 16 }; /* at once */

struct verify_path {
    char *path; /* malloc'd; freed with the verdict */
    struct local_verdict verdict;
    enum err err;
    struct why why;
};

struct verify_paths {
    struct local *locals; /* one a path, opened when it is needed first */
    size_t locals_n;
    struct verify_path paths[VERIFY_PATHS_MAX];
    size_t n, next;
};

/* Judges paths->n paths, of which `path` is set, each with an outcome of its own. ERR_ENV, ERR_MALFORMED where that cannot
 * begin. */
enum err verify_paths_judge(struct verify_paths *paths, const char *config_file, const char *root, struct why *why);
/* The paths and verdicts alone: others may be judged. */
void verify_paths_clear(struct verify_paths *paths);
void verify_paths_free(struct verify_paths *paths);

#endif
