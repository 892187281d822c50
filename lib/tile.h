/*
 * c2sp.org/tlog-tiles: tile paths, tiles of 256 hashes, and entry bundles.
 */
#ifndef STELE_TILE_H
#define STELE_TILE_H

#include "lib/merkle.h"

enum {
    TILE_HEIGHT = 8,
    TILE_WIDTH = 256,
    TILE_LEVEL_MAX = 63,
    TILE_PATH_MAX = 64, /* bytes of a rendered path with its NUL: "tile/63/x009/…/999.p/255" */
};

struct tile {
    bool entries; /* an entry bundle; then `level` is 0 */
    uint8_t level;
    uint64_t index;
    uint16_t width; /* 1 to 256; 256 is a full tile, without the ".p/W" suffix */
};

/* `path` is without a leading slash: "tile/0/x001/234.p/5". ERR_MALFORMED unless rendering gives `path` again. */
enum err tile_path_parse(struct tile *out, struct span path, struct why *why);
size_t tile_path_render(const struct tile *tile, char out[TILE_PATH_MAX]);

/* The width of tile `index` of `level` in a tree of `size` leaves: 0 where there is none, 256 where it is full. */
unsigned tile_width(uint8_t level, uint64_t index, uint64_t size);

/* The inner nodes of some tiles, so that many proofs from the same tiles hash them once. A tile only grows, and never changes:
 * a cache serves every tree of one log. Zeros to begin with. The tiles of the leaves that one batch brings, and the last one,
 * which all their proofs need, have slots of their own. */
enum { TILE_CACHE_LEAF_SLOTS = 16, TILE_CACHE_SLOTS = TILE_CACHE_LEAF_SLOTS + 8 };
struct tile_cache {
    struct tile_nodes {
        struct tile tile;                  /* width 0: none */
        struct hash nodes[2 * TILE_WIDTH]; /* the tile's hashes, then the nodes above them, level by level */
    } slots[TILE_CACHE_SLOTS];
};

/* A hash_reader over tiles of a tree of `size` leaves: `fetch` gives the tile's bytes, valid until the next call. */
struct tile_reader {
    enum err (*fetch)(void *ctx, const struct tile *tile, struct span *bytes, struct why *why);
    void *ctx;
    uint64_t size;
    struct tile_cache *cache; /* NULL is fine */
};
struct hash_reader tile_hash_reader(struct tile_reader *tiles);

/* Entry bundles: entries with a big-endian uint16 length in front. */
void bundle_add(struct buf *out, struct span entry);
/* Takes the next entry out of `rest`. False at the end, or where it is cut: then `rest` is not empty. */
bool bundle_next(struct span *rest, struct span *entry);
/* Splits a whole bundle of exactly `width` entries. ERR_MALFORMED where it has more, fewer, or is cut. */
enum err bundle_parse(struct span bundle, unsigned width, struct span entries[TILE_WIDTH], struct why *why);

#endif
