#include "tests/unit/support.h"

#include <sodium.h>

#include "lib/dsse.h"

enum { KEYS_MAX = 8 };

static bool one_envelope(const json_t *object)
{
    struct buf text = BUF_EMPTY, payload = BUF_EMPTY;
    struct dsse dsse;
    struct why why;
    uint8_t keys[KEYS_MAX][32];
    struct span keyids[KEYS_MAX];
    size_t i, n = 0;
    const json_t *item;
    assert_true(vector_bytes(object, "envelope", &text));
    json_array_foreach(json_object_get(object, "keys"), i, item)
    {
        assert_true(n < KEYS_MAX);
        vector_hex(item, "public_key", keys[n], 32);
        keyids[n] = vector_text(item, "keyid") != NULL ? span_str(vector_text(item, "keyid")) : span_of(NULL, 0);
        n++;
    }
    bool accepted = dsse_parse(&dsse, span_buf(&text), &why) == OK;
    if (accepted) {
        size_t threshold = json_object_get(object, "threshold") != NULL ? vector_number(object, "threshold") : 1;
        accepted = dsse_signed_by(&dsse, keyids, (const uint8_t(*)[32])keys, n) >= threshold;
        if (accepted && json_is_true(json_object_get(object, "ok"))) {
            assert_true(vector_bytes(object, "payload", &payload));
            assert_true(span_eq(span_buf(&payload), span_buf(&dsse.payload)));
        }
        dsse_free(&dsse);
    }
    buf_free(&text);
    buf_free(&payload);
    return accepted;
}

static void make_pae(const json_t *object, struct buf *payload, struct buf *pae)
{
    assert_true(vector_bytes(object, "payload", payload));
    dsse_pae(pae, span_str(vector_text(object, "payload_type")), span_buf(payload));
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    struct buf payload = BUF_EMPTY, pae = BUF_EMPTY, expected = BUF_EMPTY;
    bool same;
    if (strcmp(kind, "envelope") == 0)
        return one_envelope(object);
    make_pae(object, &payload, &pae);
    if (strcmp(kind, "pae") == 0) {
        assert_true(vector_bytes(object, "pae", &expected));
        same = span_eq(span_buf(&pae), span_buf(&expected));
    } else {
        uint8_t seed[32], public_key[32], secret_key[64], sig[64], wanted[64];
        assert_string_equal(kind, "sign");
        vector_hex(object, "seed", seed, sizeof seed);
        vector_hex(object, "sig", wanted, sizeof wanted);
        crypto_sign_seed_keypair(public_key, secret_key, seed);
        crypto_sign_detached(sig, NULL, pae.data, pae.len, secret_key);
        same = memcmp(sig, wanted, sizeof sig) == 0;
    }
    buf_free(&payload);
    buf_free(&pae);
    buf_free(&expected);
    return same;
}

static const struct exception exceptions[] = {
    { "envelope-nul-escape", "a NUL is refused in any JSON: no field of ours holds one" },
    { "envelope-huge-integer", "JSON numbers beyond 64 bits are refused: no field of ours is so large" },
    { NULL, NULL },
};

static void dsse(void **state)
{
    (void)state;
    run_vectors("dsse.json", exceptions, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dsse) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
