/* The trail memory: what parses renders to itself; after the last line that does nothing counts. */
#include <assert.h>

#include "lib/trailfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len);
    struct hash rules = sha256_of(span_str("rules"));
    struct trailfile_line line;
    struct buf again = BUF_EMPTY;
    if (!trailfile_take_head(&rest, &rules)) {
        assert(rest.len == len);
        return 0;
    }
    trailfile_head(&again, &rules);
    while (trailfile_take_line(&rest, &line))
        trailfile_line(&again, &line);
    assert(!again.failed && span_eq(span_buf(&again), span_of(data, len - rest.len)));
    buf_free(&again);
    return 0;
}
