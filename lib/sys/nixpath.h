/*
 * Store paths as people give them on a command line: as Nix's own commands take them. A path in a store path is that one, and so is
 * it with slashes behind it; a link outside of a store is followed until it leads into one. Only what is named is followed: a link
 * among the folders on the way is not.
 */
#ifndef STELE_SYS_NIXPATH_H
#define STELE_SYS_NIXPATH_H

#include "lib/sys/cli.h"

/* The store path that is named, malloc'd; what names none is given back as it is, for whoever wants a store path to refuse it.
 * ERR_ENV as from nix_env_load, and where memory is short. */
enum err nix_path_named(const char *text, char **out, struct why *why);
/* The same of all arguments from number `first` on, in their places: free(args->items) frees them, too. */
enum err nix_paths_named(struct cli_args *args, size_t first, struct why *why);

#endif
