/*
 * Logs of our own for tests, benchmarks and tests/conformance: keys, trees, and what such a log would send to a C2SP witness. What
 * cannot be done at all ends the program.
 */
#ifndef STELE_TESTS_OWN_LOG_H
#define STELE_TESTS_OWN_LOG_H

#include "lib/checkpoint.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"

enum { OWN_LEAVES_MAX = 4096, OWN_LEVELS = 20 };

/* Prints "# WHAT: why", or what the system says, and exits with status 1. */
_Noreturn void driver_die(const char *what, const struct why *why);
/* Before anything else: libraries, no proxies, an end after `seconds`. */
struct http_client *driver_start(unsigned seconds);

/* A log: its key (number `key` of this origin, always the same) and all nodes of its tree. Leaf i is nodes[0][i], which a test may
 * change: own_log_hash then makes the nodes above the leaves from `from` on anew. */
struct own_log {
    struct secret_key *key;
    struct vkey vkey; /* its name is the origin */
    char vkey_text[256];
    size_t leaves_n;
    struct hash *nodes[OWN_LEVELS]; /* nodes[0] are the leaves */
};
void own_log_make(struct own_log *log, const char *origin, unsigned key, size_t leaves_n);
/* Other leaves from `from` on. */
void own_log_fork(struct own_log *log, size_t from);
void own_log_hash(struct own_log *log, size_t from);
void own_log_free(struct own_log *log);

struct hash own_root(const struct own_log *log, uint64_t size);
/* The note text of the head of `size` entries with this root. */
void own_text(struct buf *out, const struct own_log *log, uint64_t size, const struct hash *root);
/* The log's signature line over a text. */
void own_line(struct buf *out, const struct own_log *log, struct span text);
/* "old N", the proof's lines and the empty line. */
void own_front(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size);
/* The whole request that takes the log from `old` to `size`; `out` is emptied first. */
void own_request(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size);

/* The monitoring route's path for an origin. */
void own_note_path(struct span origin, char out[64 + sizeof "/checkpoint"]);

#endif
