/* Looking things up in the index. */
#include <stdlib.h>

#include "log/index_internal.h"

struct index_view {
    struct kv_txn txn;
    struct index_manifest manifest;
    struct memory_run *memory[MEMORY_RUNS_MAX]; /* of entries that are not stored yet */
    size_t memory_n;
};

enum err index_view_begin(struct index *index, struct index_view **out, struct why *why)
{
    *out = NULL;
    struct index_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return fail(why, ERR_ENV, "out of memory");
    /* First the memory, then the disk: what is written out in between is seen twice, not missed. */
    pthread_mutex_lock(&index->lock);
    view->memory_n = index->memory_n;
    for (size_t i = 0; i < view->memory_n; i++)
        view->memory[i] = memory_run_keep(index->memory[i]);
    pthread_mutex_unlock(&index->lock);
    enum err err = kv_read(index->kv, &view->txn, why);
    if (err == OK)
        err = manifest_read(&view->txn, &view->manifest, why);
    if (err != OK) {
        index_view_end(view);
        return err;
    }
    size_t stored = 0; /* runs are only ever written out whole */
    while (stored < view->memory_n && view->memory[stored]->from < view->manifest.covered)
        memory_run_release(view->memory[stored++]);
    view->memory_n -= stored;
    memmove(view->memory, view->memory + stored, view->memory_n * sizeof view->memory[0]);
    *out = view;
    return OK;
}

void index_view_end(struct index_view *view)
{
    if (view == NULL)
        return;
    kv_read_end(&view->txn);
    for (size_t i = 0; i < view->memory_n; i++)
        memory_run_release(view->memory[i]);
    free(view);
}

uint64_t index_view_covered(const struct index_view *view)
{
    return view->manifest.covered;
}

/* Run `i` of all, in the order of their entries; the stored ones come first. */
static struct run_iter iter_of(struct index_view *view, size_t i, uint64_t *from, uint64_t *to)
{
    if (i < view->manifest.n) {
        const struct index_run *run = &view->manifest.runs[i];
        *from = run->from;
        *to = run->to;
        return (struct run_iter){ .txn = &view->txn, .id = run->id };
    }
    const struct memory_run *run = view->memory[i - view->manifest.n];
    *from = run->from;
    *to = run->to;
    return (struct run_iter){ .at = run->keys, .end = run->keys + run->n * INDEX_KEY_BYTES };
}

enum err index_view_find(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], uint64_t size, uint64_t *indices, size_t max,
                         size_t *n, struct why *why)
{
    uint64_t first = get_be64(key + INDEX_NAME_BYTES), from, to;
    enum err err = OK;
    for (size_t i = 0; i < view->manifest.n + view->memory_n && err == OK && *n < max; i++) {
        struct run_iter iter = iter_of(view, i, &from, &to);
        if (to <= first)
            continue;
        if (from >= size)
            break;
        for (err = run_seek(&iter, key, why); err == OK && *n < max && !run_at_end(&iter); err = run_next(&iter, why)) {
            uint64_t index = get_be64(iter.at + INDEX_NAME_BYTES);
            if (memcmp(iter.at, key, INDEX_NAME_BYTES) != 0 || index >= size)
                break;
            indices[(*n)++] = index;
        }
    }
    return err;
}

enum err index_view_first(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], size_t prefix_len,
                          uint8_t out[INDEX_KEY_BYTES], bool *found, struct why *why)
{
    uint64_t from, to;
    enum err err = OK;
    *found = false;
    for (size_t i = 0; i < view->manifest.n + view->memory_n && err == OK; i++) {
        struct run_iter iter = iter_of(view, i, &from, &to);
        err = run_seek(&iter, key, why);
        if (err != OK || run_at_end(&iter) || memcmp(iter.at, key, prefix_len) != 0)
            continue;
        if (!*found || memcmp(iter.at, out, INDEX_KEY_BYTES) < 0)
            memcpy(out, iter.at, INDEX_KEY_BYTES);
        *found = true;
    }
    return err;
}

enum err index_view_has(struct index_view *view, const uint8_t key[INDEX_KEY_BYTES], bool *has, struct why *why)
{
    uint64_t index = get_be64(key + INDEX_NAME_BYTES), from, to;
    *has = false;
    for (size_t i = 0; i < view->manifest.n + view->memory_n; i++) {
        struct run_iter iter = iter_of(view, i, &from, &to);
        if (index < from || index >= to)
            continue;
        enum err err = run_seek(&iter, key, why);
        *has = err == OK && !run_at_end(&iter) && memcmp(iter.at, key, INDEX_KEY_BYTES) == 0;
        return err;
    }
    return OK;
}

enum err index_view_check(struct index_view *view, uint64_t *keys, struct why *why)
{
    static const uint8_t least[INDEX_KEY_BYTES];
    enum err err = OK;
    *keys = 0;
    for (size_t i = 0; i < view->manifest.n && err == OK; i++) {
        uint8_t before[INDEX_KEY_BYTES] = { 0 };
        uint64_t from, to, in_run = 0;
        struct run_iter iter = iter_of(view, i, &from, &to);
        for (err = run_seek(&iter, least, why); err == OK && !run_at_end(&iter); err = run_next(&iter, why)) {
            uint64_t index = get_be64(iter.at + INDEX_NAME_BYTES);
            if (memcmp(before, iter.at, INDEX_KEY_BYTES) >= 0 || index < from || index >= to)
                return fail(why, ERR_REFUSED, "a key of the indices of the entries %llu to %llu is out of place",
                            (unsigned long long)from, (unsigned long long)to - 1);
            memcpy(before, iter.at, INDEX_KEY_BYTES);
            in_run++;
        }
        if (err == OK && in_run != view->manifest.runs[i].keys)
            err =
                fail(why, ERR_REFUSED, "the indices of the entries %llu to %llu have %llu keys, not %llu", (unsigned long long)from,
                     (unsigned long long)to - 1, (unsigned long long)in_run, (unsigned long long)view->manifest.runs[i].keys);
        *keys += in_run;
    }
    return err;
}
