/* A public key, as a verifier key of either type or Nix's own: what parses renders to itself. */
#include <assert.h>
#include <stdlib.h>

#include "lib/encode.h"
#include "lib/narinfo.h"
#include "lib/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_nix_key(struct span input)
{
    struct nix_key key;
    struct buf again = BUF_EMPTY;
    struct why why;
    if (nix_key_parse(&key, input, &why) != OK)
        return;
    buf_span(&again, key.name);
    buf_byte(&again, ':');
    base64_encode(&again, span_of(key.key, sizeof key.key));
    assert(key.name.len > 0 && span_eq(span_buf(&again), input));
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    check_nix_key(input);
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
