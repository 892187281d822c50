/* A heads file: what counts of it writes to the same bytes. */
#include <assert.h>
#include <stdlib.h>

#include "lib/headsfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum err take(void *ctx, const struct headsfile_record *record, struct why *why)
{
    (void)why;
    headsfile_record(ctx, record);
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct buf again = BUF_EMPTY;
    size_t valid_len;
    headsfile_header(&again);
    if (headsfile_parse(input, take, &again, &valid_len, &why) == OK)
        assert(valid_len <= len && again.len == valid_len && memcmp(again.data, data, valid_len) == 0);
    buf_free(&again);
    return 0;
}
