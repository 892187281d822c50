/* The store's checks, for `stele-log fsck`: do the indices and input lists say what the entries say, and nothing else? */
#include <stdlib.h>

#include "log/store_internal.h"

enum err store_view_indexed(struct store_view *view, uint64_t *indexed, struct why *why)
{
    enum err err = store_view_open_index(view, why);
    if (err == OK)
        *indexed = index_view_covered(view->index);
    return err;
}

/* Which index a key is of, for a message. */
static const char *kind_name(uint8_t kind)
{
    return kind == INDEX_OUTPUT ? "output" : kind == INDEX_DERIVATION ? "derivation" : "builder";
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, INDEX_KEY_BYTES);
}

static enum err check_keys(struct store_view *view, const struct store_entry *entry, uint64_t *keys, struct why *why)
{
    struct buf wanted = BUF_EMPTY;
    store_add_keys(entry, &wanted);
    enum err err = buf_done(&wanted, why);
    size_t n = wanted.len / INDEX_KEY_BYTES;
    if (err == OK)
        qsort(wanted.data, n, INDEX_KEY_BYTES, by_bytes);
    for (size_t i = 0; i < n && err == OK; i++) {
        const uint8_t *key = wanted.data + i * INDEX_KEY_BYTES;
        bool has;
        if (i > 0 && by_bytes(key - INDEX_KEY_BYTES, key) == 0)
            continue;
        ++*keys;
        err = index_view_has(view->index, key, &has, why);
        if (err == OK && !has)
            err = fail(why, ERR_REFUSED, "entry %llu is missing from the index `%s`", (unsigned long long)entry->index,
                       kind_name(key[0]));
    }
    buf_free(&wanted);
    return err;
}

static enum err check_list(struct store_view *view, const struct store_entry *entry, struct why *why)
{
    struct span text;
    uint64_t first;
    bool found;
    enum err err = store_view_inputs(view, &entry->input_list, &text, &first, &found, why);
    if (err != OK)
        return err;
    if (!found)
        return fail(why, ERR_REFUSED, "the input list of entry %llu is missing", (unsigned long long)entry->index);
    struct hash hash = sha256_of(text);
    if (!hash_eq(&hash, &entry->input_list) || first > entry->index)
        return fail(why, ERR_REFUSED, "the input list of entry %llu is damaged", (unsigned long long)entry->index);
    return OK;
}

enum err store_view_check(struct store_view *view, const struct store_entry *entry, uint64_t indexed, uint64_t *keys,
                          struct why *why)
{
    enum err err = store_view_open_index(view, why);
    if (err == OK && entry->index < indexed)
        err = check_keys(view, entry, keys, why);
    return err == OK && entry->has_input_list ? check_list(view, entry, why) : err;
}

enum err store_view_check_keys(struct store_view *view, uint64_t keys, struct why *why)
{
    uint64_t stored = 0;
    enum err err = store_view_open_index(view, why);
    if (err == OK)
        err = index_view_check(view->index, &stored, why);
    if (err == OK && stored != keys)
        err = fail(why, ERR_REFUSED, "the indices have %llu keys, the entries give %llu", (unsigned long long)stored,
                   (unsigned long long)keys);
    return err;
}
