/*
 * Nix's .narinfo: parse, fingerprint, verify, render; and Nix's keys and signatures (name:base64).
 */
#ifndef STELE_NARINFO_H
#define STELE_NARINFO_H

#include "lib/storepath.h"

struct nix_key {
    struct span name;
    uint8_t key[32];
};
/* "name:base64(32 bytes)". ERR_MALFORMED. */
enum err nix_key_parse(struct nix_key *out, struct span text, struct why *why);

struct nix_sig {
    struct span name;
    uint8_t sig[64];
};

struct narinfo {
    struct storepath path;
    struct span url;
    struct span compression; /* "bzip2" where absent */
    struct hash nar_hash;
    uint64_t nar_size;
    struct span *references; /* base names, sorted, each once; owned */
    size_t references_n;
    struct span deriver;  /* base name; empty where unknown or absent */
    struct span ca;       /* empty where absent */
    struct nix_sig *sigs; /* well-formed ones; malformed ones are passed over; owned */
    size_t sigs_n;
};

/* Parses a narinfo of the store folder `dir`. Borrows from `text`. ERR_MALFORMED where Nix or this project's stricter
 * reading (a repeated field, a CA that does not give the path) refuses it. FileHash and FileSize are not looked at. */
enum err narinfo_parse(struct narinfo *out, struct span text, struct span dir, struct why *why);
void narinfo_free(struct narinfo *info);

/* "1;<path>;sha256:<nix32>;<size>;<full sorted references, comma joined>": what a Nix signature covers. */
void narinfo_fingerprint(struct buf *out, const struct narinfo *info);
/* Which of the n keys signed it? signed_by (n flags) may be NULL; the count is returned. */
size_t narinfo_verify(const struct narinfo *info, const struct nix_key *keys, size_t n, bool *signed_by);

/* Renders the fields in Nix's own order, without FileHash and FileSize; `sigs` as given by the struct. */
void narinfo_render(struct buf *out, const struct narinfo *info);

#endif
