/*
 * Nix's own database, STATE_DIR/db/db.sqlite, read-only. What it says of a path is this machine's word: `ultimate` marks
 * what was built here, an honest-mistake guard and never proof.
 */
#ifndef STELE_SYS_NIXDB_H
#define STELE_SYS_NIXDB_H

#include "lib/hash.h"
#include "lib/sys/nixenv.h"

struct nixdb; /* for one thread */

struct nixdb_info {
    int64_t id;
    char *path;
    struct hash nar_hash;
    uint64_t nar_size;
    uint64_t registered_s; /* POSIX time */
    bool ultimate;
    char *deriver;     /* NULL where unknown */
    char *sigs;        /* space separated; NULL where there are none */
    char *ca;          /* NULL where the path is not content-addressed */
    char **references; /* full paths, sorted */
    size_t references_n;
};

/* ERR_ENV, saying what to do, also where an idle database cannot be read without the right to write beside it. */
enum err nixdb_open(struct nixdb **out, const struct nix_env *env, struct why *why);
void nixdb_close(struct nixdb *db);
/* From the first read after this until it is closed, `db` shows one state of the store. For what is short: Nix cannot shrink its
 * journal meanwhile. */
enum err nixdb_freeze(struct nixdb *db, struct why *why);
/* *found is false, and `out` empty, where the path is not valid. Free with nixdb_info_free. */
enum err nixdb_path(struct nixdb *db, const char *path, struct nixdb_info *out, bool *found, struct why *why);
/* The same by the hash part alone, in store folder `dir`. */
enum err nixdb_part(struct nixdb *db, const char *dir, struct span hash_part, struct nixdb_info *out, bool *found, struct why *why);
void nixdb_info_free(struct nixdb_info *info);
enum err nixdb_count(struct nixdb *db, size_t *out, struct why *why);
/* Every valid path, in the order of paths; stops at an error of `each`. The info is freed after the call. */
enum err nixdb_each(struct nixdb *db, enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx,
                    struct why *why);

/* At most `max` valid paths, those that follow `after` (NULL: the first): a run that goes on for long holds no state of the
 * database, and Nix may go on as well. */
enum err nixdb_after(struct nixdb *db, const char *after, size_t max,
                     enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx, struct why *why);
/* A deep copy. ERR_ENV where memory is short. */
enum err nixdb_info_copy(const struct nixdb_info *info, struct nixdb_info *out, struct why *why);

/* Full store paths, owned. */
struct nixdb_paths {
    char **items;
    struct hash *hashes; /* the NAR hash of each; NULL where not asked for */
    size_t n;
};
void nixdb_paths_free(struct nixdb_paths *paths);
/* The valid paths whose deriver is `drv`, the last registered first. Reads the whole table: it has no index for this. */
enum err nixdb_derived(struct nixdb *db, const char *drv, struct nixdb_paths *out, struct why *why);
/* All paths that refer to `path`, directly or not, without itself, sorted; at most `max`,
 * beyond which none is looked for. */
enum err nixdb_referrers(struct nixdb *db, const char *path, size_t max, struct nixdb_paths *out, struct why *why);
/* `paths` (n) and all that they refer to, recursively, sorted, each once, with NAR hashes. ERR_REFUSED where one is not
 * valid. */
enum err nixdb_closure(struct nixdb *db, const char *const *paths, size_t n, struct nixdb_paths *out, struct why *why);

#endif
