/* Store paths and content addresses: parts rejoin, and a path made is a path that parses. */
#include <assert.h>
#include <stdlib.h>

#include "lib/storepath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct storepath path;
    struct buf made = BUF_EMPTY;
    if (storepath_parse(&path, input, &why) == OK) {
        assert(path.dir.len + 1 + path.base.len == len);
        assert(path.hash_part.len == HASH_PART_LEN && path.hash_part.len + 1 + path.name.len == path.base.len);
    }
    if (storepath_from_ca(&made, span_str("/nix/store"), span_str("name"), input, NULL, 0, false, &why) == OK)
        assert(storepath_parse_in(&path, span_buf(&made), span_str("/nix/store"), &why) == OK);
    buf_free(&made);
    return 0;
}
