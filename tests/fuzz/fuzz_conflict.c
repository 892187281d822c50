/* The body of a witness's 409: what parses renders to itself. */
#include <assert.h>

#include "lib/addcheckpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf again = BUF_EMPTY;
    uint64_t size;
    if (!add_checkpoint_conflict_parse(span_of(data, len), &size))
        return 0;
    assert(size <= TREE_SIZE_MAX);
    buf_fmt(&again, "%llu\n", (unsigned long long)size);
    assert(span_eq(span_buf(&again), span_of(data, len)));
    buf_free(&again);
    return 0;
}
