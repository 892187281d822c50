#include "lib/tile.h"

#include <stdio.h>

size_t tile_path_render(const struct tile *tile, char out[TILE_PATH_MAX])
{
    uint64_t index = tile->index;
    unsigned groups[7], n = 0; /* of three digits, the last one first */
    do {
        groups[n++] = (unsigned)(index % 1000);
        index /= 1000;
    } while (index > 0);
    int len = tile->entries ? snprintf(out, TILE_PATH_MAX, "tile/entries/") : snprintf(out, TILE_PATH_MAX, "tile/%u/", tile->level);
    while (n-- > 0)
        len += snprintf(out + len, TILE_PATH_MAX - (size_t)len, n > 0 ? "x%03u/" : "%03u", groups[n]);
    if (tile->width != TILE_WIDTH)
        len += snprintf(out + len, TILE_PATH_MAX - (size_t)len, ".p/%u", tile->width);
    return (size_t)len;
}

static bool take_group(struct span *rest, uint64_t *index, bool *more)
{
    struct span group = *rest;
    *more = span_skip(&group, "x");
    if (group.len < 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (group.data[i] < '0' || group.data[i] > '9' || *index > (UINT64_MAX - 9) / 10)
            return false;
        *index = *index * 10 + (group.data[i] - (uint64_t)'0');
    }
    *rest = span_of(group.data + 3, group.len - 3);
    return !*more || span_skip(rest, "/");
}

enum err tile_path_parse(struct tile *out, struct span path, struct why *why)
{
    struct span rest = path, level;
    char again[TILE_PATH_MAX];
    uint64_t number = 0, width = TILE_WIDTH;
    bool more = true;
    *out = (struct tile){ 0 };
    if (path.len >= TILE_PATH_MAX || !span_skip(&rest, "tile/"))
        goto malformed;
    ptrdiff_t slash = span_find(rest, '/');
    if (slash < 0)
        goto malformed;
    level = span_cut(rest, 0, (size_t)slash);
    rest = span_cut(rest, (size_t)slash + 1, rest.len - (size_t)slash - 1);
    out->entries = span_is(level, "entries");
    if (!out->entries && !span_decimal(level, TILE_LEVEL_MAX, &number))
        goto malformed;
    out->level = (uint8_t)number;
    while (more)
        if (!take_group(&rest, &out->index, &more))
            goto malformed;
    if (out->index > TREE_SIZE_MAX)
        goto malformed;
    if (span_skip(&rest, ".p/")) {
        if (!span_decimal(rest, TILE_WIDTH - 1, &width) || width == 0)
            goto malformed;
    } else if (rest.len > 0) {
        goto malformed;
    }
    out->width = (uint16_t)width;
    if (span_eq(span_of(again, tile_path_render(out, again)), path))
        return OK;
malformed:
    return fail(why, ERR_MALFORMED, "%.*s is no tile's path (tlog-tiles, \"Merkle Tree\")", SPAN_FMT(path));
}

unsigned tile_width(uint8_t level, uint64_t index, uint64_t size)
{
    unsigned shift = TILE_HEIGHT * (unsigned)level;
    uint64_t hashes = shift >= 64 ? 0 : size >> shift;
    if (index > hashes / TILE_WIDTH)
        return 0;
    uint64_t left = hashes - index * TILE_WIDTH;
    return left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
}

/* The tile that holds stored node `node`, as it stands in a tree of `size` leaves. */
static struct tile tile_of(const struct node *node, uint64_t size)
{
    struct tile tile = { .level = node->level / TILE_HEIGHT };
    unsigned within = node->level % TILE_HEIGHT; /* levels above the tile's own hashes */
    tile.index = node->index >> (TILE_HEIGHT - within);
    tile.width = (uint16_t)tile_width(tile.level, tile.index, size);
    return tile;
}

/* The hash of `node` from the bytes of its tile (32 * width). False where the tile does not hold it. */
static bool hash_in_tile(const struct tile *tile, struct span bytes, const struct node *node, struct hash *out)
{
    unsigned within = node->level % TILE_HEIGHT;
    if (node->level / TILE_HEIGHT != tile->level || node->index >> (TILE_HEIGHT - within) != tile->index)
        return false;
    size_t count = (size_t)1 << within, from = (size_t)(node->index << within) % TILE_WIDTH;
    if (from + count > tile->width || bytes.len != (size_t)tile->width * 32)
        return false;
    struct hash hashes[TILE_WIDTH / 2];
    memcpy(hashes, bytes.data + from * 32, count * 32);
    for (; count > 1; count /= 2)
        for (size_t i = 0; i < count / 2; i++)
            hashes[i] = merkle_node_hash(&hashes[2 * i], &hashes[2 * i + 1]);
    *out = hashes[0];
    return true;
}

static enum err wrong_tile(const struct tile *tile, size_t bytes, struct why *why)
{
    return fail(why, ERR_MALFORMED, "tile %u/%llu has %zu bytes, not %u", tile->level, (unsigned long long)tile->index, bytes,
                tile->width * 32u);
}

static enum err fetch_node(struct tile_reader *tiles, const struct tile *tile, const struct node *node, struct hash *out,
                           struct why *why)
{
    struct span bytes;
    enum err err = tiles->fetch(tiles->ctx, tile, &bytes, why);
    if (err == OK && !hash_in_tile(tile, bytes, node, out))
        err = wrong_tile(tile, bytes.len, why);
    return err;
}

/* Where the nodes `within` levels above the tile's hashes begin. */
static size_t nodes_at(unsigned within)
{
    return 2 * TILE_WIDTH - (2 * TILE_WIDTH >> within);
}

/* Brings the slot up to `tile`: only what is new since a narrower form of it is hashed. */
static enum err fill_slot(struct tile_reader *tiles, struct tile_nodes *slot, const struct tile *tile, struct why *why)
{
    struct span bytes;
    enum err err = tiles->fetch(tiles->ctx, tile, &bytes, why);
    if (err != OK)
        return err;
    if (bytes.len != 32 * (size_t)tile->width)
        return wrong_tile(tile, bytes.len, why);
    size_t had = slot->tile.level == tile->level && slot->tile.index == tile->index ? slot->tile.width : 0, count = tile->width;
    memcpy(slot->nodes + had, bytes.data + 32 * had, 32 * (count - had));
    for (unsigned within = 1; within <= TILE_HEIGHT; within++) {
        const struct hash *below = slot->nodes + nodes_at(within - 1);
        had /= 2;
        count /= 2;
        for (size_t i = had; i < count; i++)
            slot->nodes[nodes_at(within) + i] = merkle_node_hash(&below[2 * i], &below[2 * i + 1]);
    }
    slot->tile = *tile;
    return OK;
}

static struct tile_nodes *slot_of(struct tile_cache *cache, const struct tile *tile)
{
    if (tile->level == 0)
        return &cache->slots[tile->index % TILE_CACHE_LEAF_SLOTS];
    size_t above = 2 * (size_t)tile->level + (tile->index & 1);
    return &cache->slots[TILE_CACHE_LEAF_SLOTS + above % (TILE_CACHE_SLOTS - TILE_CACHE_LEAF_SLOTS)];
}

static enum err cached_node(struct tile_reader *tiles, const struct tile *tile, const struct node *node, struct hash *out,
                            struct why *why)
{
    struct tile_nodes *slot = slot_of(tiles->cache, tile);
    bool there = slot->tile.width >= tile->width && slot->tile.level == tile->level && slot->tile.index == tile->index;
    enum err err = there ? OK : fill_slot(tiles, slot, tile, why);
    if (err != OK) {
        slot->tile.width = 0;
        return err;
    }
    unsigned within = node->level % TILE_HEIGHT;
    size_t at = node->index % ((size_t)TILE_WIDTH >> within);
    if ((at + 1) << within > tile->width)
        return wrong_tile(tile, 32 * (size_t)tile->width, why);
    *out = slot->nodes[nodes_at(within) + at];
    return OK;
}

static enum err read_from_tiles(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    struct tile_reader *tiles = ctx;
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        struct tile tile = tile_of(&nodes[i], tiles->size);
        if (tile.width == 0)
            return fail(why, ERR_MALFORMED, "a tree of %llu entries has no node %u/%llu", (unsigned long long)tiles->size,
                        nodes[i].level, (unsigned long long)nodes[i].index);
        if (tiles->cache != NULL)
            err = cached_node(tiles, &tile, &nodes[i], &out[i], why);
        else
            err = fetch_node(tiles, &tile, &nodes[i], &out[i], why);
    }
    return err;
}

struct hash_reader tile_hash_reader(struct tile_reader *tiles)
{
    return (struct hash_reader){ read_from_tiles, tiles };
}

void bundle_add(struct buf *out, struct span entry)
{
    if (entry.len > UINT16_MAX) {
        out->failed = true;
        return;
    }
    buf_byte(out, (uint8_t)(entry.len >> 8));
    buf_byte(out, (uint8_t)entry.len);
    buf_span(out, entry);
}

bool bundle_next(struct span *rest, struct span *entry)
{
    if (rest->len < 2)
        return false;
    size_t len = (size_t)rest->data[0] << 8 | rest->data[1];
    if (rest->len - 2 < len)
        return false;
    *entry = span_cut(*rest, 2, len);
    *rest = span_cut(*rest, 2 + len, rest->len - 2 - len);
    return true;
}

enum err bundle_parse(struct span bundle, unsigned width, struct span entries[TILE_WIDTH], struct why *why)
{
    struct span rest = bundle;
    for (unsigned i = 0; i < width; i++)
        if (!bundle_next(&rest, &entries[i]))
            return fail(why, ERR_MALFORMED, "the entry bundle is cut in entry %u of %u (tlog-tiles, \"Log entries\")", i, width);
    if (rest.len > 0)
        return fail(why, ERR_MALFORMED, "the entry bundle has %zu bytes after its %u entries", rest.len, width);
    return OK;
}
