/*
 * Runs of index keys in memory: sorted, unchanging, shared by whoever looks at them.
 */
#ifndef STELE_LOG_INDEX_MEMORY_H
#define STELE_LOG_INDEX_MEMORY_H

#include <stdatomic.h>

#include "log/index_runs.h"

struct memory_run {
    atomic_uint refs;
    uint64_t from, to; /* entries */
    struct hash last;  /* leaf hash of entry to - 1 */
    size_t n;
    uint8_t keys[]; /* n of INDEX_KEY_BYTES */
};

/* Both with one reference; NULL where memory is short. A key that comes twice is kept once. */
struct memory_run *memory_run_sort(const uint8_t *keys, size_t n);
struct memory_run *memory_run_merge(const struct memory_run *older, const struct memory_run *newer);
struct memory_run *memory_run_keep(struct memory_run *run);
void memory_run_release(struct memory_run *run);

#endif
