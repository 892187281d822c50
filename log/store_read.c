/* The store's reading half: views. */
#include <stdio.h>

#include "log/store_internal.h"

const char *const store_tables[TABLES_N] = {
    [TABLE_META] = "meta", [TABLE_ENTRY] = "entry", [TABLE_TILE] = "tile", [TABLE_INPUTS] = "inputs"
};

struct span tile_key(uint8_t out[TILE_KEY_BYTES], uint8_t level, uint64_t number)
{
    out[0] = level;
    put_be64(out + 1, number);
    return span_of(out, TILE_KEY_BYTES);
}

void store_add_keys(const struct store_entry *entry, struct buf *out)
{
    uint8_t *key;
    for (size_t i = 0; i < entry->outputs_n; i++)
        if ((key = buf_grow(out, INDEX_KEY_BYTES)) != NULL)
            index_path_key(key, INDEX_OUTPUT, entry->outputs[i], entry->builder.b, entry->index);
    if (entry->has_derivation && (key = buf_grow(out, INDEX_KEY_BYTES)) != NULL)
        index_path_key(key, INDEX_DERIVATION, entry->derivation, entry->builder.b, entry->index);
    if ((key = buf_grow(out, INDEX_KEY_BYTES)) != NULL)
        index_builder_key(key, &entry->builder, entry->index);
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
    *view = (struct store_view){ .store = store };
    enum err err = kv_read(store->kv, &view->txn, why);
    if (err == OK && (err = read_size(&view->txn, &view->size, why)) != OK)
        kv_read_end(&view->txn);
    return err;
}

void store_view_end(struct store_view *view)
{
    index_view_end(view->index);
    kv_read_end(&view->txn);
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
    view->tiles.fetch = fetch_tile;
    view->tiles.ctx = view;
    view->tiles.size = size;
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

enum err store_view_open_index(struct store_view *view, struct why *why)
{
    if (view->store->index == NULL)
        return fail(why, ERR_ENV, "this copy of the log has no indices");
    return view->index != NULL ? OK : index_view_begin(view->store->index, &view->index, why);
}

static void lookup_key(uint8_t key[INDEX_KEY_BYTES], const struct store_lookup *lookup, const uint8_t *builder)
{
    index_path_key(key, lookup->by == STORE_OUTPUT ? INDEX_OUTPUT : INDEX_DERIVATION, lookup->hash_part, builder, lookup->from);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of every builder of the path, in the order of their hashes. */
static enum err lookup_all(struct store_view *view, const struct store_lookup *lookup, uint64_t *indices, size_t max, size_t *n,
                           struct why *why)
{
    static const uint8_t first[INDEX_BUILDER_BYTES];
    const size_t prefix_len = 1 + HASH_PART_BYTES;
    uint8_t key[INDEX_KEY_BYTES], found_key[INDEX_KEY_BYTES];
    bool found, more = true;
    enum err err = OK;
    lookup_key(key, lookup, first);
    put_be64(key + INDEX_NAME_BYTES, 0);
    while (err == OK && more && *n < max) {
        err = index_view_first(view->index, key, prefix_len, found_key, &found, why);
        if (err != OK || !found)
            break;
        lookup_key(key, lookup, found_key + prefix_len);
        err = index_view_find(view->index, key, lookup->size, indices, least(max, *n + lookup->per_builder), n, why);
        /* The next builder: the least name above this one. */
        more = false;
        for (size_t i = prefix_len + INDEX_BUILDER_BYTES; i-- > prefix_len && !more;)
            more = ++key[i] != 0;
        put_be64(key + INDEX_NAME_BYTES, 0);
    }
    return err;
}

enum err store_view_lookup(struct store_view *view, const struct store_lookup *lookup, uint64_t *indices, size_t max, size_t *n,
                           struct why *why)
{
    *n = 0;
    enum err err = store_view_open_index(view, why);
    if (err == OK && lookup->builders_n == 0)
        return lookup_all(view, lookup, indices, max, n, why);
    for (size_t i = 0; i < lookup->builders_n && err == OK; i++) {
        uint8_t key[INDEX_KEY_BYTES];
        if (lookup->by == STORE_BUILDER)
            index_builder_key(key, &lookup->builders[i], lookup->from);
        else
            lookup_key(key, lookup, lookup->builders[i].b);
        err = index_view_find(view->index, key, lookup->size, indices, least(max, *n + lookup->per_builder), n, why);
    }
    return err;
}
