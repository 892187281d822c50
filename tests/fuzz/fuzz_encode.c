/* Hex, base64 and nix32: canonical, so what decodes encodes to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct buf bytes = BUF_EMPTY, again = BUF_EMPTY;
    uint8_t out[64];
    struct hash hash;
    (void)why;
    if (base64_decode(input, &bytes)) {
        base64_encode(&again, span_buf(&bytes));
        assert(span_eq(span_buf(&again), input));
        assert(bytes.len == base64_decoded_len(input));
    }
    buf_clear(&bytes);
    base64url_decode(input, &bytes);
    for (size_t n = 0; n <= sizeof out; n++) {
        buf_clear(&again);
        if (hex_decode(input, out, n)) {
            hex_encode(&again, span_of(out, n));
            assert(span_eq(span_buf(&again), input));
        }
        buf_clear(&again);
        if (nix32_decode(input, out, n)) {
            nix32_encode(&again, span_of(out, n));
            assert(span_eq(span_buf(&again), input));
        }
    }
    nix_sha256_decode(input, &hash);
    buf_free(&bytes);
    buf_free(&again);
    return 0;
}
