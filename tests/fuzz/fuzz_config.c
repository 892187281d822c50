/* Configuration lines and globs: no crash, and a glob of the text itself matches where it has no special character. */
#include <assert.h>
#include <stdlib.h>

#include "lib/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct values {
    char *name;
    uint64_t count;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct values values = { 0 };
    static const struct config_key keys[] = {
        { "name", false, config_take_str, offsetof(struct values, name) },
        { "count", true, config_take_count, offsetof(struct values, count) },
    };
    config_parse(input, "input", keys, 2, &values, &why);
    free(values.name);
    size_t half = len / 2;
    glob_match(span_cut(input, 0, half), span_cut(input, half, len - half));
    if (span_find(input, '*') < 0 && span_find(input, '?') < 0)
        assert(glob_match(input, input));
    assert(glob_match(span_str("*"), input));
    return 0;
}
