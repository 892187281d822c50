/* Tile paths and entry bundles: what parses renders to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct tile tile;
    struct span rest = input, entry, entries[TILE_WIDTH];
    struct buf again = BUF_EMPTY;
    char path[TILE_PATH_MAX];
    unsigned n = 0;
    if (tile_path_parse(&tile, input, &why) == OK)
        assert(span_eq(span_of(path, tile_path_render(&tile, path)), input));
    while (n <= TILE_WIDTH && bundle_next(&rest, &entry)) {
        bundle_add(&again, entry);
        n++;
    }
    assert(again.len + rest.len == len && (again.len == 0 || memcmp(again.data, data, again.len) == 0));
    if (rest.len == 0 && n > 0 && n <= TILE_WIDTH)
        assert(bundle_parse(input, n, entries, &why) == OK);
    buf_free(&again);
    return 0;
}
