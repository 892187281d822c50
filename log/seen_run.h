/*
 * Sorted runs of leaf hashes: the stored half of log/seen.h, a file each, "FROM-TO" for the entries [from, to).
 *
 *   "stele seen v1\n", zeros to 16 bytes; u64 from, u64 to; the leaf hash of entry to - 1; SHA-256 of all this and of the records
 *   a record an entry, sorted: the first 8 bytes of its leaf hash, u64 index
 *
 * Numbers are big-endian. A run never changes, and is never synced: what a crash tore has another hash, and is passed over.
 */
#ifndef STELE_LOG_SEEN_RUN_H
#define STELE_LOG_SEEN_RUN_H

#include <stdatomic.h>

#include "lib/hash.h"

enum { SEEN_RECORD_BYTES = 16 };

struct seen_run {
    uint64_t from, to; /* entries */
    struct hash last;  /* leaf hash of entry to - 1 */
    char *path;
    const uint8_t *map; /* the whole file */
    const uint8_t *records;
};

static inline uint64_t seen_run_entries(const struct seen_run *run)
{
    return run->to - run->from;
}
/* The file's. */
uint64_t seen_run_bytes(const struct seen_run *run);

/* Maps DIR/FROM-TO. *whole is false, and nothing is open, where it is no run with this name and a right hash. ERR_ENV. */
enum err seen_run_open(struct seen_run *out, const char *dir, uint64_t from, uint64_t to, bool *whole, struct why *why);
/* Ends the use of it, and removes the file where asked. */
void seen_run_close(struct seen_run *run, bool remove);
/* Has the processor fetch where seen_run_seek will look first. */
void seen_run_prepare(const struct seen_run *run, uint64_t prefix);
/* The first record whose hash begins with at least `prefix`; the number of records where there is none. */
uint64_t seen_run_seek(const struct seen_run *run, uint64_t prefix);

/* Sorted records to merge. */
struct seen_records {
    const uint8_t *at, *end;
};
/* Writes a run of the entries [from, to) out of `n` sources, and opens it. Where *cancel becomes true it stops: *made is false
 * then, and there is no file. ERR_ENV. */
enum err seen_run_make(struct seen_run *out, const char *dir, uint64_t from, uint64_t to, const struct hash *last,
                       struct seen_records *sources, size_t n, const atomic_bool *cancel, bool *made, struct why *why);

#endif
