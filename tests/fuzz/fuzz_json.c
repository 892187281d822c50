/* JSON as Stele takes it, against jansson; and strings as it writes them: what is written reads back. */
#include <assert.h>
#include <stdlib.h>

#include "lib/json.h"
#include "tests/json_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct json json;
    bool taken;
    assert(json_peer_agrees(input, &taken));
    if (!span_utf8(input) || span_find(input, 0) >= 0)
        return 0;
    struct buf text = BUF_EMPTY;
    buf_str(&text, "[");
    json_put_string(&text, input);
    buf_str(&text, "]");
    assert(json_parse(&json, span_buf(&text), "string", &why) == OK);
    assert(span_eq(json_text(json_first(json_root(&json))), input));
    json_free(&json);
    buf_free(&text);
    return 0;
}
