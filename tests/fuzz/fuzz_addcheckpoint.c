/* Body of add-checkpoint: what parses renders to the same bytes. */
#include <assert.h>

#include "lib/addcheckpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span body = span_of(data, len);
    struct add_checkpoint parsed;
    struct why why = { "" };
    enum err err = add_checkpoint_parse(&parsed, body, &why);
    if (err != OK) {
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
        return 0;
    }
    struct buf again = BUF_EMPTY;
    buf_fmt(&again, "old %llu\n", (unsigned long long)parsed.old);
    for (size_t i = 0; i < parsed.proof_n; i++) {
        base64_encode(&again, span_of(parsed.proof[i].b, sizeof parsed.proof[i].b));
        buf_byte(&again, '\n');
    }
    buf_byte(&again, '\n');
    checkpoint_render(&again, &parsed.checkpoint);
    buf_byte(&again, '\n');
    buf_span(&again, parsed.note.sig_lines);
    assert(span_eq(span_buf(&again), body));
    buf_free(&again);
    return 0;
}
