/* An attestation: what parses renders to itself, and reads as DSSE with the same payload. */
#include <assert.h>
#include <stdlib.h>

#include "lib/dsse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct envelope envelope;
    struct buf storage = BUF_EMPTY, again = BUF_EMPTY;
    if (envelope_parse(&envelope, input, &storage, &why) == OK) {
        envelope_verify(&envelope, &why);
        envelope_render(&again, envelope.payload, &envelope.key, envelope.sig);
        assert(span_eq(span_buf(&again), input));
    }
    buf_free(&storage);
    buf_free(&again);
    return 0;
}
