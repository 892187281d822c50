/* The store's checks, for `stele-log fsck`: nothing is missing, nothing is too many, and what derives from the entries says what
 * they say. */
#include <stdlib.h>

#include "log/store_internal.h"

static enum err load(struct store_view *view, struct span *value, struct kv_room *room, struct why *why)
{
    enum err err = kv_load(&view->txn, value, room, why);
    return err == ERR_MALFORMED ? ERR_REFUSED : err;
}

enum err store_view_whole_bundle(struct store_view *view, uint64_t number, unsigned width, struct store_room *room,
                                 struct span *bundle, uint64_t *runs, struct why *why)
{
    uint64_t at = number * TILE_WIDTH, end = at + width;
    struct buf *scratch = &room->scratch;
    buf_clear(scratch);
    while (at < end) {
        uint8_t key[8];
        struct span run;
        bool found;
        put_be64(key, at);
        enum err err = kv_get(&view->txn, TABLE_ENTRY, span_of(key, sizeof key), &run, &found, why);
        if (err == OK && found)
            err = load(view, &run, &room->run, why);
        if (err != OK)
            return err;
        uint64_t entries = found ? run_entries(run) : 0;
        if (entries == 0 || entries > end - at)
            return fail(why, ERR_REFUSED, "entry %llu is missing, cut, or where it does not belong", (unsigned long long)at);
        ++*runs;
        if (entries == width) {
            *bundle = run;
            return OK;
        }
        buf_span(scratch, run);
        at += entries;
    }
    *bundle = span_buf(scratch);
    return buf_done(scratch, why);
}

enum err store_view_whole_tile(struct store_view *view, const struct tile *tile, struct store_room *room, struct span *bytes,
                               struct why *why)
{
    uint8_t key[TILE_KEY_BYTES];
    bool found;
    enum err err = kv_get(&view->txn, TABLE_TILE, tile_key(key, tile->level, tile->index), bytes, &found, why);
    if (err == OK && (!found || bytes->len != 32 * (size_t)tile->width))
        err = fail(why, ERR_REFUSED, "tile %llu of level %u is %s", (unsigned long long)tile->index, tile->level,
                   found ? "of a wrong length" : "missing");
    return err == OK ? load(view, bytes, &room->tile, why) : err;
}

void store_room_free(struct store_room *room)
{
    buf_free(&room->scratch);
    kv_room_free(&room->run);
    kv_room_free(&room->tile);
}

static enum err check_count(struct store_view *view, unsigned table, uint64_t want, struct why *why)
{
    uint64_t count;
    enum err err = kv_count(&view->txn, table, &count, why);
    if (err == OK && count != want)
        err = fail(why, ERR_REFUSED, "the table `%s` has %llu records, not %llu", store_tables[table], (unsigned long long)count,
                   (unsigned long long)want);
    return err;
}

enum err store_view_check_counts(struct store_view *view, uint64_t runs, struct why *why)
{
    uint64_t tiles = 0;
    for (unsigned level = 0; level < TAIL_LEVELS; level++)
        tiles += ((view->size >> (TILE_HEIGHT * level)) + TILE_WIDTH - 1) / TILE_WIDTH;
    enum err err = check_count(view, TABLE_ENTRY, runs, why);
    return err == OK ? check_count(view, TABLE_TILE, tiles, why) : err;
}

enum err store_view_check_lists(struct store_view *view, void (*damaged)(void *ctx, const struct hash *list), void *ctx,
                                struct why *why)
{
    struct kv_cursor cursor;
    struct kv_room room = { NULL, 0 };
    struct span key, value;
    bool found;
    enum err err = kv_cursor_open(&cursor, &view->txn, TABLE_INPUTS, span_of("", 0), 0, why);
    if (err != OK)
        return err;
    while ((err = kv_cursor_next(&cursor, &key, &value, &found, why)) == OK && found) {
        if ((err = load(view, &value, &room, why)) != OK)
            break;
        struct hash list = { { 0 } }, hash = sha256_of(value.len < 8 ? value : span_cut(value, 8, value.len - 8));
        memcpy(list.b, key.data, key.len < sizeof list.b ? key.len : sizeof list.b);
        if (value.len < 8 || key.len != sizeof list.b || !hash_eq(&list, &hash))
            damaged(ctx, &list);
    }
    kv_cursor_close(&cursor);
    kv_room_free(&room);
    return err;
}

enum err store_view_indexed(struct store_view *view, uint64_t *indexed, struct why *why)
{
    *indexed = 0;
    if (view->store->index == NULL)
        return OK;
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

enum err store_view_check_keys(struct store_view *view, const struct store_entry *entry, uint64_t *keys, struct why *why)
{
    struct buf wanted = BUF_EMPTY;
    store_add_keys(entry, &wanted);
    enum err err = buf_done(&wanted, why);
    size_t n = wanted.len / INDEX_KEY_BYTES;
    if (err == OK)
        err = store_view_open_index(view, why);
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

enum err store_view_check_list(struct store_view *view, const struct store_entry *entry, enum store_list_state *state,
                               struct why *why)
{
    struct span text;
    uint64_t first;
    bool found;
    enum err err = store_view_inputs(view, &entry->input_list, &text, &first, &found, why);
    *state = STORE_LIST_MISSING;
    if (err != OK || !found)
        return err;
    struct hash hash = sha256_of(text);
    *state = hash_eq(&hash, &entry->input_list) && first <= entry->index ? STORE_LIST_RIGHT : STORE_LIST_DAMAGED;
    return OK;
}

static enum err is_index(void *ctx, uint64_t index, const struct hash *leaf, bool *is, struct why *why)
{
    (void)leaf;
    (void)why;
    *is = index == *(const uint64_t *)ctx;
    return OK;
}

/* A run has a record an entry: where every entry finds its own, there is no other. */
enum err store_view_check_leaf(struct store_view *view, const struct store_entry *entry, struct why *why)
{
    const struct seen *seen = view->store->seen;
    uint64_t index, wanted = entry->index;
    bool found;
    if (seen == NULL || entry->index >= seen_covered(seen))
        return OK;
    enum err err = seen_find(seen, &entry->leaf, is_index, &wanted, &found, &index, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "entry %llu is missing from the set of leaf hashes", (unsigned long long)entry->index);
    return err;
}

enum err store_view_check_index(struct store_view *view, uint64_t keys, struct why *why)
{
    uint64_t stored = 0;
    enum err err = view->store->index == NULL ? OK : store_view_open_index(view, why);
    if (err == OK && view->index != NULL)
        err = index_view_check(view->index, &stored, why);
    if (err == OK && stored != keys)
        err = fail(why, ERR_REFUSED, "the indices have %llu keys, the entries give %llu", (unsigned long long)stored,
                   (unsigned long long)keys);
    return err;
}
