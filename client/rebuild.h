/*
 * A repeated build that gave something else (`nix-build --check`): Nix leaves it as PATH.check beside PATH, and names the first
 * output that differs and no other.
 */
#ifndef STELE_CLIENT_REBUILD_H
#define STELE_CLIENT_REBUILD_H

#include "client/build.h"

/* Attests, as a `rebuild`, that `build->outputs[0]` (there is exactly one) can also come out as what lies at `check`. The files at
 * `check` must be the store's owner's, who alone can make Nix's results his own, and differ from what is registered; the references
 * are found as Nix finds them. Whether the path itself was built here does not matter: another's build is compared with, too. */
enum err rebuild_attest(const struct build *build, const char *check, struct attestation *out, struct why *why);

#endif
