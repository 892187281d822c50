/* Frames between a process and its signer: fields taken are fields put. */
#include <assert.h>
#include <stdlib.h>

#include "lib/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct span rest = input, field;
    struct buf again = BUF_EMPTY;
    uint64_t number;
    (void)why;
    while (wire_take(&rest, &field)) {
        struct span copy = field;
        wire_put(&again, field);
        wire_take_u64(&copy, &number);
    }
    assert(again.len <= len && (again.len == 0 || memcmp(again.data, data, again.len) == 0));
    buf_free(&again);
    return 0;
}
