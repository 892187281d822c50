/* What the gate refused: the records that are read render to what is read again as the same. */
#include <assert.h>

#include "lib/refusalfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The reasoning without its indentation. */
static void put_tree(struct buf *out, struct span tree)
{
    struct span line;
    while (span_line(&tree, &line)) {
        buf_span(out, span_cut(line, 2, line.len - 2));
        buf_byte(out, '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len);
    struct refusal one, again;
    while (refusalfile_next(&rest, &one)) {
        struct buf text = BUF_EMPTY, tree = BUF_EMPTY;
        put_tree(&tree, one.tree);
        assert(refusal_path(&one).len > 0);
        struct refusal plain = one;
        plain.tree = span_buf(&tree);
        refusalfile_add(&text, &plain);
        struct span back = span_buf(&text);
        assert(!text.failed && refusalfile_next(&back, &again) && back.len == 0);
        assert(again.time_s == one.time_s && again.warned == one.warned && span_eq(again.hash_part, one.hash_part) &&
               span_eq(again.why, one.why) && span_eq(again.tree, one.tree));
        buf_free(&text);
        buf_free(&tree);
    }
    return 0;
}
