/* JSON as Stele takes it, and strings as it writes them: what is written reads back. */
#include <assert.h>
#include <stdlib.h>

#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    json_t *value;
    if (json_read(input, "input", &value, &why) == OK)
        json_decref(value);
    if (!span_utf8(input) || span_find(input, 0) >= 0)
        return 0;
    struct buf text = BUF_EMPTY;
    buf_str(&text, "[");
    json_put_string(&text, input);
    buf_str(&text, "]");
    assert(json_read(span_buf(&text), "string", &value, &why) == OK);
    const json_t *string = json_array_get(value, 0);
    assert(span_eq(span_of(json_string_value(string), json_string_length(string)), input));
    json_decref(value);
    buf_free(&text);
    return 0;
}
