/*
 * Nix store paths: STORE_DIR/HASHPART-NAME, and the paths that content addressing gives.
 */
#ifndef STELE_STOREPATH_H
#define STELE_STOREPATH_H

#include "lib/encode.h"
#include "lib/limits.h"

enum {
    HASH_PART_LEN = 32,   /* characters */
    HASH_PART_BYTES = 20, /* decoded */
};

struct storepath {
    struct span path;      /* whole */
    struct span dir;       /* without the final slash */
    struct span base;      /* HASHPART-NAME */
    struct span hash_part; /* 32 nix32 characters */
    struct span name;
};

/* An absolute path of a store object itself (nothing below it), in any store folder. ERR_MALFORMED. */
enum err storepath_parse(struct storepath *out, struct span path, struct why *why);
/* The same, in the store folder `dir`. */
enum err storepath_parse_in(struct storepath *out, struct span path, struct span dir, struct why *why);
/* The store path in which a clean path lies, or which it is: its first folders that are one. */
bool storepath_holding(struct storepath *out, struct span path);
/* Appends an absolute path as Nix reads it, by its text alone: without empty, "." and ".." parts. A ".." at the top is the top. */
void storepath_clean(struct buf *out, struct span path);
/* Just "HASHPART-NAME", as References lists them; `path` and `dir` stay empty. */
enum err storepath_parse_base(struct storepath *out, struct span base, struct why *why);
bool storepath_hash_part_ok(struct span hash_part);
bool storepath_name_ok(struct span name);

/* A content address taken apart. */
struct content_address {
    bool text;        /* "text:": of a file's contents, and may have references */
    bool recursive;   /* "fixed:r:": of the NAR; otherwise of a file's contents */
    struct span algo; /* "md5", "sha1", "sha256" or "sha512" */
    uint8_t hash[64];
    size_t hash_len;
};
bool content_address_parse(struct content_address *out, struct span ca);

/* The store path of a content address: `ca` is "text:sha256:…", "fixed:sha256:…", "fixed:r:sha256:…" (also md5, sha1,
 * sha512 where Nix allows them). `references` are full paths, sorted, without the path itself; `self` says that it refers
 * to itself. Appends the path. ERR_MALFORMED for a bad CA, ERR_REFUSED for references where the method allows none. */
enum err storepath_from_ca(struct buf *out, struct span dir, struct span name, struct span ca, const struct span *references,
                           size_t n, bool self, struct why *why);

/* makeStorePath: type ("output:out", "source:…"), the inner hash, the name. */
void storepath_make(struct buf *out, struct span dir, struct span type, const struct hash *inner, struct span name);

#endif
