/* Store paths and content addresses: parts rejoin, a path made is a path that parses, and a base name is the end of one; a cleaned path
 * is clean, and the store path that holds one begins it. */
#include <assert.h>
#include <stdlib.h>

#include "lib/storepath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_clean(struct span input)
{
    struct buf clean = BUF_EMPTY, again = BUF_EMPTY;
    struct storepath holding;
    storepath_clean(&clean, input);
    storepath_clean(&again, span_buf(&clean));
    assert(clean.len > 0 && clean.data[0] == '/' && span_eq(span_buf(&clean), span_buf(&again)));
    assert(!storepath_holding(&holding, span_buf(&clean)) || memcmp(holding.path.data, clean.data, holding.path.len) == 0);
    buf_free(&clean);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct storepath path, base;
    struct content_address address;
    struct buf made = BUF_EMPTY, whole = BUF_EMPTY;
    if (storepath_parse(&path, input, &why) == OK) {
        assert(path.dir.len + 1 + path.base.len == len);
        assert(path.hash_part.len == HASH_PART_LEN && path.hash_part.len + 1 + path.name.len == path.base.len);
    }
    buf_str(&whole, "/nix/store/");
    buf_span(&whole, input);
    bool is_base = storepath_parse_base(&base, input, &why) == OK;
    assert(is_base == (storepath_parse_in(&path, span_buf(&whole), span_str("/nix/store"), &why) == OK));
    assert(!is_base || (span_eq(base.base, path.base) && span_eq(base.name, path.name) && base.path.len == 0));
    buf_free(&whole);
    enum err err = storepath_from_ca(&made, span_str("/nix/store"), span_str("name"), input, NULL, 0, false, &why);
    assert(err != OK || storepath_parse_in(&path, span_buf(&made), span_str("/nix/store"), &why) == OK);
    assert(content_address_parse(&address, input) == (err != ERR_MALFORMED));
    buf_free(&made);
    check_clean(input);
    return 0;
}
