/* A checkpoint's text: what parses renders to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct checkpoint checkpoint;
    struct buf again = BUF_EMPTY;
    if (checkpoint_parse(&checkpoint, input, &why) != OK)
        return 0;
    checkpoint_render(&again, &checkpoint);
    assert(span_eq(span_buf(&again), input));
    buf_free(&again);
    return 0;
}
