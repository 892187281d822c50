/* A secret key, of ours and of Nix: what parses renders to itself, and keeps its public half. */
#include <assert.h>
#include <stdlib.h>

#include "lib/sys/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct secret_key *key, struct span text, enum sig_type type)
{
    struct buf again = BUF_EMPTY;
    struct secret_key *parsed;
    struct why why;
    secret_key_render(&again, key);
    assert(text.len == 0 || span_eq(span_buf(&again), text));
    assert(secret_key_parse(&parsed, span_buf(&again), type, &why) == OK);
    struct vkey first = secret_key_vkey(key), second = secret_key_vkey(parsed);
    assert(first.id == second.id && memcmp(first.key, second.key, sizeof first.key) == 0);
    secret_key_free(parsed);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum sig_type types[] = { SIG_ED25519, SIG_COSIGNATURE };
    struct span input = span_of(data, len), none = span_of(NULL, 0);
    struct secret_key *key;
    struct why why;
    if (key_system_start(&why) != OK)
        abort();
    for (size_t i = 0; i < 2; i++) {
        if (secret_key_parse(&key, input, types[i], &why) == OK) {
            check(key, input, types[i]);
            secret_key_free(key);
        }
        if (secret_key_from_nix(&key, input, span_str("ci.example"), types[i], &why) == OK) {
            check(key, none, types[i]);
            secret_key_free(key);
        }
    }
    return 0;
}
