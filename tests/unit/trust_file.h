/*
 * Trust files about the same four builders and one cache: for the tests of trust.h and trust_check.h. Include
 * tests/unit/support.h first.
 */
#ifndef STELE_TESTS_TRUST_FILE_H
#define STELE_TESTS_TRUST_FILE_H

#include "lib/encode.h"
#include "lib/trust.h"

/* Keys that differ in one byte; nothing is verified here. */
static inline struct vkey key_of(unsigned n)
{
    static const char *const names[] = { "a.example", "b.example", "c.example", "d.example" };
    uint8_t key[32] = { (uint8_t)(n + 1) };
    return vkey_make(span_str(names[n]), SIG_ED25519, key);
}

/* "builder a VKEY" … "builder d VKEY", "cache x KEY", then `rest`. */
static inline void put_file(struct buf *out, const char *rest)
{
    uint8_t cache_key[32] = { 99 };
    for (unsigned n = 0; n < 4; n++) {
        struct vkey key = key_of(n);
        buf_fmt(out, "builder %c ", 'a' + (int)n);
        vkey_render(out, &key);
        buf_byte(out, '\n');
    }
    buf_str(out, "cache x cache.example-1:");
    base64_encode(out, span_of(cache_key, sizeof cache_key));
    buf_byte(out, '\n');
    buf_str(out, rest);
}

/* That file, read. */
static inline enum err read_file(struct trust *trust, const char *rest, struct why *why)
{
    struct buf text = BUF_EMPTY;
    put_file(&text, rest);
    enum err err = trust_parse(trust, span_buf(&text), "trust", why);
    buf_free(&text);
    return err;
}

#endif
