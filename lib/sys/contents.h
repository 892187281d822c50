/*
 * What lies on disk, held against a content address: of some kinds the hash in it is of what no NAR hash tells, and a database has
 * nothing to hold them against.
 */
#ifndef STELE_SYS_CONTENTS_H
#define STELE_SYS_CONTENTS_H

#include "lib/storepath.h"

/* Is what lies at `path` what the address says? Of a path that refers to itself `self` is its hash part, which is hashed as zeros,
 * and where it stands, as Nix does; otherwise empty. ERR_ENV for what cannot be read. */
enum err contents_fit(const char *path, const struct content_address *address, struct span self, bool *out, struct why *why);

#endif
