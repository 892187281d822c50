#include "lib/hash.h"

#include <sodium.h>

void sha256_start(struct sha256 *state)
{
    sha256_init(&state->ctx);
}

void sha256_add(struct sha256 *state, const void *data, size_t len)
{
    if (len > 0)
        sha256_update(&state->ctx, len, data);
}

struct hash sha256_end(struct sha256 *state)
{
    struct hash out;
    sha256_digest(&state->ctx, sizeof out.b, out.b);
    return out;
}

struct hash sha256_of(struct span data)
{
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, data.data, data.len);
    return sha256_end(&state);
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool ed25519_verify(const uint8_t sig[64], struct span message, const uint8_t key[32])
{
    return crypto_sign_verify_detached(sig, message.data, message.len, key) == 0;
}
