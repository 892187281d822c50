/* A statement that counts renders to a form that parses and renders to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct statement first, second;
    struct buf once = BUF_EMPTY, twice = BUF_EMPTY, list = BUF_EMPTY;
    if (statement_parse(&first, input, &why) != OK)
        return 0;
    if (!first.foreign && statement_render(&once, &first, &list, &why) == OK) {
        assert(statement_parse(&second, span_buf(&once), &why) == OK);
        assert(!second.foreign);
        assert(statement_render(&twice, &second, &list, &why) == OK);
        assert(span_eq(span_buf(&once), span_buf(&twice)));
        statement_free(&second);
    }
    statement_free(&first);
    buf_free(&once);
    buf_free(&twice);
    buf_free(&list);
    return 0;
}
