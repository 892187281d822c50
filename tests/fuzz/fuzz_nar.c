/* A NAR: the verdict does not depend on how the bytes are cut. */
#include <assert.h>
#include <stdlib.h>

#include "lib/nar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool parses(struct span bytes, size_t step)
{
    struct why why;
    struct nar_parser *parser = nar_parser_new();
    enum err err = OK;
    for (size_t at = 0; at < bytes.len && err == OK; at += step)
        err = nar_parser_feed(parser, span_cut(bytes, at, bytes.len - at < step ? bytes.len - at : step), &why);
    if (err == OK)
        err = nar_parser_end(parser, &why);
    nar_parser_free(parser);
    return err == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    (void)why;
    bool whole = parses(input, len + 1);
    assert(parses(input, 1) == whole);
    assert(parses(input, 5) == whole);
    return 0;
}
