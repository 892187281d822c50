/* A verifier key: what parses renders to itself, under either type. */
#include <assert.h>
#include <stdlib.h>

#include "lib/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    static const enum sig_type types[] = { SIG_ED25519, SIG_COSIGNATURE };
    for (size_t i = 0; i < 2; i++) {
        struct vkey key;
        struct buf again = BUF_EMPTY;
        if (vkey_parse(&key, input, types[i], &why) != OK)
            continue;
        vkey_render(&again, &key);
        assert(span_eq(span_buf(&again), input));
        struct hash whole = sha256_of(input), piecewise = vkey_hash(&key);
        assert(hash_eq(&whole, &piecewise));
        buf_free(&again);
    }
    return 0;
}
