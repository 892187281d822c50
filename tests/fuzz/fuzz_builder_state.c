/* The small files in which a builder's machine keeps its state: the machine and since when, and the counts, whose lines render to
 * what is read again as the same. */
#include <assert.h>

#include "client/builder_state.h"
#include "client/counts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_count(struct span line)
{
    struct count one, two;
    struct buf text = BUF_EMPTY;
    if (!count_parse(&one, line))
        return;
    count_render(&text, &one);
    struct span rest = span_buf(&text), again;
    assert(span_line(&rest, &again) && rest.len == 0 && count_parse(&two, again));
    assert(span_eq(one.reason, two.reason) && one.n == two.n && one.last_s == two.last_s && span_eq(one.sentence, two.sentence));
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len), line, id;
    uint64_t since_s;
    if (builder_state_parse(text, &id, &since_s))
        assert(id.len > 0 && span_find(id, ' ') < 0 && span_find(id, '\n') < 0 && since_s <= INT64_MAX);
    while (span_line(&text, &line))
        check_count(line);
    return 0;
}
