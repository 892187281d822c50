#include "log/index_memory.h"

#include <stdlib.h>

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, INDEX_KEY_BYTES);
}

static struct memory_run *run_new(size_t n)
{
    struct memory_run *run = malloc(sizeof *run + n * INDEX_KEY_BYTES);
    if (run == NULL)
        return NULL;
    atomic_init(&run->refs, 1);
    run->n = n;
    return run;
}

struct memory_run *memory_run_sort(const uint8_t *keys, size_t n)
{
    struct memory_run *run = run_new(n);
    if (run == NULL || n == 0)
        return run;
    memcpy(run->keys, keys, n * INDEX_KEY_BYTES);
    qsort(run->keys, n, INDEX_KEY_BYTES, by_bytes);
    run->n = 1;
    for (size_t i = 1; i < n; i++)
        if (by_bytes(run->keys + (run->n - 1) * INDEX_KEY_BYTES, run->keys + i * INDEX_KEY_BYTES) != 0)
            memmove(run->keys + run->n++ * INDEX_KEY_BYTES, run->keys + i * INDEX_KEY_BYTES, INDEX_KEY_BYTES);
    return run;
}

struct memory_run *memory_run_merge(const struct memory_run *older, const struct memory_run *newer)
{
    struct memory_run *run = run_new(older->n + newer->n);
    if (run == NULL)
        return NULL;
    run->from = older->from;
    run->to = newer->to;
    run->last = newer->last;
    const uint8_t *a = older->keys, *a_end = a + older->n * INDEX_KEY_BYTES;
    const uint8_t *b = newer->keys, *b_end = b + newer->n * INDEX_KEY_BYTES;
    uint8_t *out = run->keys;
    for (; a < a_end && b < b_end; out += INDEX_KEY_BYTES) {
        const uint8_t **least = memcmp(a, b, INDEX_KEY_BYTES) < 0 ? &a : &b;
        memcpy(out, *least, INDEX_KEY_BYTES);
        *least += INDEX_KEY_BYTES;
    }
    memcpy(out, a, (size_t)(a_end - a));
    memcpy(out + (a_end - a), b, (size_t)(b_end - b));
    return run;
}

struct memory_run *memory_run_keep(struct memory_run *run)
{
    atomic_fetch_add(&run->refs, 1);
    return run;
}

void memory_run_release(struct memory_run *run)
{
    if (run != NULL && atomic_fetch_sub(&run->refs, 1) == 1)
        free(run);
}
