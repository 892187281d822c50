/*
 * The hooks that Nix calls, without arguments of ours: everything comes from the environment and the configuration.
 */
#ifndef STELE_CLIENT_HOOKS_H
#define STELE_CLIENT_HOOKS_H

/* The post-build-hook. Its exit status: 0, or the `next-hook`'s. */
int run_hook(void);
/* The diff-hook, for a `--check` that differs: PATH, PATH.check, the .drv, a folder. Always 0. */
int run_diff_hook(int argc, char **argv);

#endif
