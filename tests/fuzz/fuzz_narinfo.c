/* A narinfo: what parses renders to a form that parses to the same fingerprint. */
#include <assert.h>
#include <stdlib.h>

#include "lib/narinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    static const char dir[] = "/tmp/stele-vectors-nix/store";
    struct narinfo first, second;
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    if (narinfo_parse(&first, input, span_str(dir), &why) != OK)
        return 0;
    narinfo_render(&text, &first);
    assert(narinfo_parse(&second, span_buf(&text), span_str(dir), &why) == OK);
    narinfo_render(&again, &second);
    assert(span_eq(span_buf(&text), span_buf(&again)));
    narinfo_free(&first);
    narinfo_free(&second);
    buf_free(&text);
    buf_free(&again);
    return 0;
}
