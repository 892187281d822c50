/*
 * Hex, base64 (RFC 4648 section 4) and nix32, canonical only: decode(x) succeeds only where encode gives x again.
 * Stray bits, missing or extra padding, line breaks, upper-case hex and nix32 overflow are refused.
 */
#ifndef STELE_ENCODE_H
#define STELE_ENCODE_H

#include "lib/hash.h"

/* Lower-case hex. `hex_decode` wants exactly 2 * len characters. */
void hex_encode(struct buf *out, struct span data);
bool hex_decode(struct span text, uint8_t *out, size_t len);

/* Standard alphabet, padded. */
void base64_encode(struct buf *out, struct span data);
/* The same into base64_encoded_len(data.len) bytes. */
void base64_encode_to(struct span data, uint8_t *out);
size_t base64_encoded_len(size_t len);
/* The decoded length by the text's form alone: the text must still be decoded to be known valid. */
size_t base64_decoded_len(struct span text);
/* Appends the decoded bytes; false, and `out` as it was, for anything but canonical base64. */
bool base64_decode(struct span text, struct buf *out);
/* Decodes exactly `len` bytes. */
bool base64_decode_to(struct span text, uint8_t *out, size_t len);
/* The same for the URL-safe alphabet (RFC 4648 section 5), padded: what DSSE allows besides the standard one. */
bool base64url_decode(struct span text, struct buf *out);

/* Nix's base 32: alphabet 0123456789abcdfghijklmnpqrsvwxyz, from the last byte backwards. */
size_t nix32_len(size_t bytes); /* characters for that many bytes: 52 for 32, 32 for 20 */
void nix32_encode(struct buf *out, struct span data);
bool nix32_decode(struct span text, uint8_t *out, size_t len);
bool nix32_alphabet(struct span text); /* does every character stand in the alphabet? */

/* `sha256:<nix32>`, `sha256:<hex>`, `sha256-<base64>` as Nix reads hashes; only SHA-256. */
bool nix_sha256_decode(struct span text, struct hash *out);

#endif
