/*
 * The hooks that Nix calls, without arguments of ours: everything comes from the environment and the configuration.
 */
#ifndef STELE_CLIENT_HOOKS_H
#define STELE_CLIENT_HOOKS_H

#include "client/hooked.h"

/* What Nix's environment says to the post-build-hook; the strings of the paths lie in `storage`. Free with hook_words_free. */
struct hook_words {
    struct hooked hooked; /* borrows from the environment, and from `paths` */
    char *storage;
    const char **paths;
};
/* DRV_PATH; OUT_PATHS, words between spaces, NULL where Nix set none; NIX_CONFIG, or NULL: of it the sandbox's setting alone, for it
 * may carry access tokens. ERR_ENV: memory. */
enum err hook_words_read(struct hook_words *out, const char *drv_path, const char *out_paths, const char *nix_config,
                         struct why *why);
void hook_words_free(struct hook_words *words);

/* The post-build-hook. Its exit status: 0, or the `next-hook`'s. */
int run_hook(void);
/* The diff-hook, for a `--check` that differs: PATH, PATH.check, the .drv, a folder. Always 0. */
int run_diff_hook(int argc, char **argv);

#endif
