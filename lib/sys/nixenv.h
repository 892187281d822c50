/*
 * Where a Nix store and its state lie: NIX_STORE_DIR and NIX_STATE_DIR as Nix reads them, and `--store ROOT`, a store whose
 * files lie in ROOT/nix/store and whose state in ROOT/nix/var/nix, while its paths keep the logical store folder.
 */
#ifndef STELE_SYS_NIXENV_H
#define STELE_SYS_NIXENV_H

#include "lib/bytes.h"

struct nix_env {
    char *store_dir;      /* logical: what store paths start with */
    char *real_store_dir; /* where their files are */
    char *state_dir;
};

/* `root` is --store's value, or NULL. ERR_ENV for a variable that is no absolute path, and where memory is short. */
enum err nix_env_load(struct nix_env *out, const char *root, struct why *why);
void nix_env_free(struct nix_env *env);
/* Where the files of a store path are; malloc'd, NULL where memory is short. */
char *nix_env_real_path(const struct nix_env *env, struct span base);

#endif
