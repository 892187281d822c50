/*
 * SHA-256 (nettle: the fastest of Debian's for a tree's short inputs) and Ed25519 verification (libsodium: it refuses
 * S + L, small-order and non-canonical A and R; tests/unit pins the accepted set).
 */
#ifndef STELE_HASH_H
#define STELE_HASH_H

#include <nettle/sha2.h>

#include "lib/bytes.h"

struct hash {
    uint8_t b[32];
};

struct sha256 {
    struct sha256_ctx ctx;
};

void sha256_start(struct sha256 *state);
void sha256_add(struct sha256 *state, const void *data, size_t len);
struct hash sha256_end(struct sha256 *state);
struct hash sha256_of(struct span data);

bool hash_eq(const struct hash *a, const struct hash *b);

/* Is `sig` a valid Ed25519 signature (RFC 8032) of `message` under `key`? */
bool ed25519_verify(const uint8_t sig[64], struct span message, const uint8_t key[32]);

#endif
