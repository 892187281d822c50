/* The hooks that Nix calls by their names, in a program of their own: `stele` loads an HTTP client with all that it needs, which
 * takes longer than all that the hook does. */
#include <string.h>

#include "client/hooks.h"

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    return strcmp(name, "stele-diff-hook") == 0 ? run_diff_hook(argc, argv) : run_hook();
}
