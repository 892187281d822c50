/*
 * What the makers of spec/vectors/ share (tests/e2e/spec_vectors.c): test keys, and cases as JSON. What cannot be made ends the
 * program.
 */
#ifndef STELE_TESTS_VECTOR_H
#define STELE_TESTS_VECTOR_H

#include "lib/json.h"
#include "lib/merkle.h"
#include "lib/sys/key.h"
#include "tests/must.h"

#define VECTOR_STORE   "/nix/store/"
#define VECTOR_HELLO   "y7zw0pmm1sfvfs1lnnwkiw32jhr0m18q-hello-2.12.1"
#define VECTOR_GLIBC   "3n58xw4373jp0ljirf06d8077j15pc4j-glibc-2.37-8"
#define VECTOR_BUILDER "9krlzvny65gdc8s7kpb6lkx8cd02c25b-default-builder.sh"

struct hash vector_hash(const char *text);
/* The key of that name: its seed is the SHA-256 of "stele test key NAME". */
struct secret_key *vector_key(const char *name, enum sig_type type);
void vector_put_vkey(struct buf *out, const struct secret_key *key);

/* A case: opened, its members in turn, closed; the file then, which empties `out`. */
void vector_open(struct buf *out, const char *name, bool ok);
void vector_member(struct buf *out, const char *name, struct span text);
void vector_member_hash(struct buf *out, const char *name, const struct hash *hash);
void vector_close(struct buf *out);
void vector_write(const char *folder, const char *name, struct buf *out);

/* `text` with its first `from`, and what follows it up to before the next `upto` (NULL: nothing more), as `to`. */
void vector_altered(struct buf *out, struct span text, const char *from, const char *upto, const char *to);

/* The files that have makers of their own. */
void vectors_statement(const char *folder, struct span payload);
void vectors_bundle(const char *folder, struct span entry);
void vectors_trust(const char *folder);
void vectors_trust_file(const char *folder);
void vectors_evidence(const char *folder);

#endif
