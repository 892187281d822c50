/* What the deliverer leaves for `stele status`: a line that is taken, and renders again, is what is read from that. */
#include <assert.h>

#include "client/delivery_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len), line;
    while (span_line(&text, &line)) {
        struct delivery_line parsed;
        struct buf again = BUF_EMPTY;
        if (!delivery_line_parse(&parsed, line))
            continue;
        assert(parsed.word != DELIVERED_AT || parsed.time_s <= INT64_MAX);
        delivery_line_render(&again, &parsed);
        assert(!again.failed && again.len == line.len + 1 && span_eq(span_cut(span_buf(&again), 0, line.len), line));
        buf_free(&again);
    }
    return 0;
}
