/* The hooks that Nix calls by their names, in a program of their own: `stele` loads an HTTP client with all that it needs, which
 * takes longer than all that the hook does. */
#include <stdio.h>
#include <string.h>

#include "client/hooks.h"

/* Nix gives a post-build-hook no argument and a diff-hook four: a person who asks what this is gives one. */
static bool asks(int argc, char **argv, const char *option)
{
    return argc == 2 && strcmp(argv[1], option) == 0;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    bool diff = strcmp(name, "stele-diff-hook") == 0;
    if (asks(argc, argv, "--version")) {
        printf("%s %s\n", name, STELE_VERSION);
        return 0;
    }
    if (asks(argc, argv, "--help")) {
        printf("%s: for %s in nix.conf, and for nobody to call by hand\n\n  %s\n\n%s\n`stele setup builder` makes the line; man "
               "stele-hook "
               "tells more.\n",
               name, diff ? "diff-hook" : "post-build-hook", diff ? "stele-diff-hook PATH OTHER DERIVATION FOLDER" : "stele-hook",
               diff ? "It has `stele sign-agent` attest the result of a repeated build that differs."
                    : "It attests what DRV_PATH and OUT_PATHS in the environment name, into the outbox.");
        return 0;
    }
    return diff ? run_diff_hook(argc, argv) : run_hook();
}
