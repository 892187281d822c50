/* An input list: what parses renders to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct input *inputs;
    size_t n;
    struct buf again = BUF_EMPTY;
    if (input_list_parse(input, &inputs, &n, &why) != OK)
        return 0;
    input_list_render(&again, inputs, n);
    assert(span_eq(span_buf(&again), input));
    free(inputs);
    buf_free(&again);
    return 0;
}
