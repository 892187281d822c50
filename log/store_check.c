/* The store's checks, for `stele-log fsck`: does every index say what the entries say, and nothing else? */
#include "log/store_tables.h"

static enum err wants(struct store_view *view, unsigned table, struct span key, uint64_t index, struct why *why)
{
    struct span value;
    bool found;
    enum err err = kv_get(&view->txn, table, key, &value, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "entry %llu is missing from the index `%s`", (unsigned long long)index, store_tables[table]);
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

enum err store_view_check_seen(struct store_view *view, const struct hash *leaf, uint64_t index, struct why *why)
{
    uint64_t seen;
    bool found;
    enum err err = store_view_find(view, leaf, &seen, &found, why);
    if (err == OK && (!found || seen != index))
        err = fail(why, ERR_REFUSED, "the index `seen` does not find entry %llu", (unsigned long long)index);
    return err;
}

enum err store_view_check(struct store_view *view, const struct store_entry *entry, struct store_counts *counts, struct why *why)
{
    uint8_t key[PATH_KEY_BYTES], builder_key[32 + 8];
    enum err err = OK;
    for (size_t i = 0; i < entry->outputs_n && err == OK; i++) {
        bool repeated = false;
        for (size_t k = 0; k < i; k++)
            repeated |= memcmp(entry->outputs[k], entry->outputs[i], STORE_HASH_PART_BYTES) == 0;
        counts->output += !repeated;
        err = wants(view, TABLE_OUTPUT, path_key(key, entry->outputs[i], entry->builder.b, entry->index), entry->index, why);
    }
    counts->derivation += entry->has_derivation;
    if (err == OK && entry->has_derivation)
        err = wants(view, TABLE_DERIVATION, path_key(key, entry->derivation, entry->builder.b, entry->index), entry->index, why);
    memcpy(builder_key, entry->builder.b, 32);
    put_be64(builder_key + 32, entry->index);
    counts->builder++;
    if (err == OK)
        err = wants(view, TABLE_BUILDER, span_of(builder_key, sizeof builder_key), entry->index, why);
    if (err == OK && entry->has_input_list)
        err = check_list(view, entry, why);
    return err;
}

static enum err check_count(struct store_view *view, unsigned table, uint64_t expected, struct why *why)
{
    uint64_t count;
    enum err err = kv_count(&view->txn, table, &count, why);
    if (err == OK && count != expected)
        err = fail(why, ERR_REFUSED, "the index `%s` has %llu keys, the entries give %llu", store_tables[table],
                   (unsigned long long)count, (unsigned long long)expected);
    return err;
}

enum err store_view_check_counts(struct store_view *view, const struct store_counts *counts, struct why *why)
{
    enum err err = check_count(view, TABLE_SEEN, view->size, why);
    if (err == OK && counts != NULL)
        err = check_count(view, TABLE_OUTPUT, counts->output, why);
    if (err == OK && counts != NULL)
        err = check_count(view, TABLE_DERIVATION, counts->derivation, why);
    if (err == OK && counts != NULL)
        err = check_count(view, TABLE_BUILDER, counts->builder, why);
    return err;
}
