/*
 * Flake references as the builder's word on where a derivation came from ("github:NixOS/nixpkgs/REV#hello",
 * "git+https://example.org/repo?ref=main&rev=REV#hello"). What is logged is public for ever, so that of a URL nothing goes in that
 * may be a secret.
 */
#ifndef STELE_FLAKEREF_H
#define STELE_FLAKEREF_H

#include "lib/bytes.h"

struct flakeref {
    struct buf text;       /* without the fragment, the user part, and every parameter but those that Nix's references have */
    struct span revision;  /* 40 or 64 hexadecimal digits, where the reference has one; borrows, as the attribute does */
    struct span attribute; /* the fragment; empty where there is none */
    bool left_out;         /* something of it was */
};

/* Borrows from `text`. ERR_MALFORMED for control characters, spaces, invalid UTF-8, or more than FLAKEREF_BYTES_MAX bytes. */
enum { FLAKEREF_BYTES_MAX = 2048 };
enum err flakeref_parse(struct flakeref *out, struct span text, struct why *why);
void flakeref_free(struct flakeref *ref);

#endif
