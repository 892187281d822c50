/* The store's reading half: views. */
#include <stdio.h>

#include "log/store_tables.h"

const char *const store_tables[TABLES_N] = {
    [TABLE_META] = "meta",     [TABLE_ENTRY] = "entry",           [TABLE_TILE] = "tile",       [TABLE_SEEN] = "seen",
    [TABLE_OUTPUT] = "output", [TABLE_DERIVATION] = "derivation", [TABLE_BUILDER] = "builder", [TABLE_INPUTS] = "inputs",
};

struct span tile_key(uint8_t out[TILE_KEY_BYTES], uint8_t level, uint64_t number)
{
    out[0] = level;
    put_be64(out + 1, number);
    return span_of(out, TILE_KEY_BYTES);
}

struct span path_key(uint8_t out[PATH_KEY_BYTES], const uint8_t *hash_part, const uint8_t *builder, uint64_t index)
{
    memcpy(out, hash_part, STORE_HASH_PART_BYTES);
    memcpy(out + STORE_HASH_PART_BYTES, builder, BUILDER_PREFIX_BYTES);
    put_be64(out + PATH_PREFIX_BYTES, index);
    return span_of(out, PATH_KEY_BYTES);
}

struct span builder_key(uint8_t out[BUILDER_KEY_BYTES], const uint8_t *builder, uint64_t index)
{
    memcpy(out, builder, 32);
    put_be64(out + 32, index);
    return span_of(out, BUILDER_KEY_BYTES);
}

struct hash full_tile_root(const uint8_t hashes[TILE_WIDTH * 32])
{
    struct hash level[TILE_WIDTH];
    memcpy(level, hashes, sizeof level);
    for (size_t n = TILE_WIDTH; n > 1; n /= 2)
        for (size_t i = 0; i < n / 2; i++)
            level[i] = merkle_node_hash(&level[2 * i], &level[2 * i + 1]);
    return level[0];
}

uint64_t run_entries(struct span run)
{
    uint64_t n = 0;
    struct span entry;
    while (bundle_next(&run, &entry))
        n++;
    return run.len == 0 ? n : 0;
}

enum err store_broken(struct kv *kv, struct why *why, const char *fmt, ...)
{
    struct why own;
    va_list args;
    va_start(args, fmt);
    vsnprintf(own.text, sizeof own.text, fmt, args);
    va_end(args);
    fail_in(&own, ERR_ENV, "the log's data is damaged");
    kv_kill(kv, &own);
    return fail(why, ERR_ENV, "%s", own.text);
}

enum err read_size(struct kv_txn *txn, uint64_t *size, struct why *why)
{
    struct span value;
    bool found;
    enum err err = kv_get(txn, TABLE_META, span_str("size"), &value, &found, why);
    if (err != OK)
        return err;
    if (!found || value.len != 8)
        return store_broken(txn->kv, why, "no size");
    *size = get_be64(value.data);
    return OK;
}

enum err store_view_begin(struct store *store, struct store_view *view, struct why *why)
{
    *view = (struct store_view){ 0 };
    enum err err = kv_read(store_kv(store), &view->txn, why);
    if (err == OK && (err = read_size(&view->txn, &view->size, why)) != OK)
        kv_read_end(&view->txn);
    return err;
}

void store_view_end(struct store_view *view)
{
    kv_read_end(&view->txn);
}

enum err store_view_find(struct store_view *view, const struct hash *leaf, uint64_t *index, bool *found, struct why *why)
{
    struct span value;
    enum err err = kv_get(&view->txn, TABLE_SEEN, span_of(leaf->b, 32), &value, found, why);
    if (err != OK || !*found)
        return err;
    if (value.len != 8)
        return store_broken(view->txn.kv, why, "a malformed index of a leaf hash");
    *index = get_be64(value.data);
    return OK;
}

/* The run that holds `index`, from that entry on. */
static enum err run_from(struct store_view *view, uint64_t index, struct span *rest, struct why *why)
{
    uint8_t key[8];
    put_be64(key, index);
    struct span first;
    bool found;
    enum err err = kv_floor(&view->txn, TABLE_ENTRY, span_of(key, sizeof key), &first, rest, &found, why);
    if (err != OK)
        return err;
    if (!found || first.len != 8)
        return store_broken(view->txn.kv, why, "entry %llu is missing", (unsigned long long)index);
    struct span skipped;
    for (uint64_t at = get_be64(first.data); at < index; at++)
        if (!bundle_next(rest, &skipped))
            return store_broken(view->txn.kv, why, "entry %llu is missing", (unsigned long long)index);
    return OK;
}

void store_walk_start(struct store_walk *walk, struct store_view *view, uint64_t index)
{
    *walk = (struct store_walk){ .view = view, .index = index };
}

enum err store_walk_next(struct store_walk *walk, struct span *entry, struct why *why)
{
    if (walk->rest.len == 0) {
        enum err err = run_from(walk->view, walk->index, &walk->rest, why);
        if (err != OK)
            return err;
    }
    if (!bundle_next(&walk->rest, entry))
        return store_broken(walk->view->txn.kv, why, "entry %llu is cut", (unsigned long long)walk->index);
    walk->index++;
    return OK;
}

enum err store_view_entry(struct store_view *view, uint64_t index, struct span *entry, struct why *why)
{
    struct store_walk walk;
    store_walk_start(&walk, view, index);
    return store_walk_next(&walk, entry, why);
}

enum err store_view_bundle(struct store_view *view, uint64_t number, unsigned width, struct buf *scratch, struct span *bundle,
                           struct why *why)
{
    struct store_walk walk;
    store_walk_start(&walk, view, number * TILE_WIDTH);
    size_t from = scratch->len;
    struct span piece = { NULL, 0 }, entry;
    unsigned in_piece = 0;
    for (unsigned i = 0; i < width; i++) {
        bool new_run = walk.rest.len == 0;
        enum err err = store_walk_next(&walk, &entry, why);
        if (err != OK)
            return err;
        if (new_run) {
            buf_span(scratch, piece);
            piece = span_of(entry.data - 2, 0);
            in_piece = 0;
        }
        piece.len = (size_t)(entry.data + entry.len - piece.data);
        in_piece++;
    }
    if (in_piece == width) {
        *bundle = piece;
        return OK;
    }
    buf_span(scratch, piece);
    enum err err = buf_done(scratch, why);
    if (err == OK)
        *bundle = span_cut(span_buf(scratch), from, scratch->len - from);
    return err;
}

enum err store_view_tile(struct store_view *view, const struct tile *tile, struct span *bytes, struct why *why)
{
    uint8_t key[TILE_KEY_BYTES];
    bool found;
    enum err err = kv_get(&view->txn, TABLE_TILE, tile_key(key, tile->level, tile->index), bytes, &found, why);
    if (err != OK)
        return err;
    if (!found || bytes->len < 32 * (size_t)tile->width)
        return store_broken(view->txn.kv, why, "tile %llu of level %u is missing or short", (unsigned long long)tile->index,
                            tile->level);
    *bytes = span_cut(*bytes, 0, 32 * (size_t)tile->width);
    return OK;
}

static enum err fetch_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    return store_view_tile(ctx, tile, bytes, why);
}

struct hash_reader store_view_tiles(struct store_view *view, uint64_t size)
{
    view->tiles = (struct tile_reader){ .fetch = fetch_tile, .ctx = view, .size = size };
    return tile_hash_reader(&view->tiles);
}

enum err store_view_inputs(struct store_view *view, const struct hash *list, struct span *text, uint64_t *first, bool *found,
                           struct why *why)
{
    struct span value;
    enum err err = kv_get(&view->txn, TABLE_INPUTS, span_of(list->b, 32), &value, found, why);
    if (err != OK || !*found)
        return err;
    if (value.len < 8)
        return store_broken(view->txn.kv, why, "a cut input list");
    *first = get_be64(value.data);
    *text = span_cut(value, 8, value.len - 8);
    return OK;
}

static const unsigned lookup_tables[] = {
    [STORE_OUTPUT] = TABLE_OUTPUT,
    [STORE_DERIVATION] = TABLE_DERIVATION,
    [STORE_BUILDER] = TABLE_BUILDER,
};

/* One builder's indices: from lookup->from on, at most `max`. */
static enum err lookup_of(struct store_view *view, const struct store_lookup *lookup, const uint8_t *builder, uint64_t *indices,
                          size_t max, size_t *n, struct why *why)
{
    uint8_t path[PATH_KEY_BYTES], own[BUILDER_KEY_BYTES];
    struct span from = lookup->by == STORE_BUILDER ? builder_key(own, builder, lookup->from)
                                                   : path_key(path, lookup->hash_part, builder, lookup->from);
    struct kv_cursor cursor;
    enum err err = kv_cursor_open(&cursor, &view->txn, lookup_tables[lookup->by], from, from.len - 8, why);
    for (unsigned i = 0; err == OK && i < lookup->per_builder && *n < max; i++) {
        struct span key, value;
        bool found;
        err = kv_cursor_next(&cursor, &key, &value, &found, why);
        if (err != OK || !found || key.len != from.len)
            break;
        uint64_t index = get_be64(key.data + key.len - 8);
        if (index >= lookup->size)
            break;
        indices[(*n)++] = index;
    }
    kv_cursor_close(&cursor);
    return err;
}

/* The first builder of a path at or above `builder`, which becomes it. */
static enum err next_builder(struct store_view *view, const struct store_lookup *lookup, uint8_t builder[BUILDER_PREFIX_BYTES],
                             bool *found, struct why *why)
{
    uint8_t from[PATH_KEY_BYTES];
    struct kv_cursor cursor;
    struct span key, value;
    enum err err = kv_cursor_open(&cursor, &view->txn, lookup_tables[lookup->by], path_key(from, lookup->hash_part, builder, 0),
                                  STORE_HASH_PART_BYTES, why);
    if (err == OK)
        err = kv_cursor_next(&cursor, &key, &value, found, why);
    if (err == OK && *found)
        memcpy(builder, key.data + STORE_HASH_PART_BYTES, BUILDER_PREFIX_BYTES);
    kv_cursor_close(&cursor);
    return err;
}

/* The next of all prefixes; false after the last. */
static bool count_up(uint8_t builder[BUILDER_PREFIX_BYTES])
{
    for (size_t i = BUILDER_PREFIX_BYTES; i-- > 0;)
        if (++builder[i] != 0)
            return true;
    return false;
}

enum err store_view_lookup(struct store_view *view, const struct store_lookup *lookup, uint64_t *indices, size_t max, size_t *n,
                           struct why *why)
{
    *n = 0;
    enum err err = OK;
    for (size_t i = 0; i < lookup->builders_n && err == OK; i++)
        err = lookup_of(view, lookup, lookup->builders[i].b, indices, max, n, why);
    if (lookup->builders_n > 0)
        return err;
    uint8_t builder[BUILDER_PREFIX_BYTES] = { 0 };
    bool found;
    do {
        err = next_builder(view, lookup, builder, &found, why);
        if (err == OK && found)
            err = lookup_of(view, lookup, builder, indices, max, n, why);
    } while (err == OK && found && *n < max && count_up(builder));
    return err;
}
