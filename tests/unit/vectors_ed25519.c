#include "tests/unit/support.h"

#include "lib/encode.h"

enum { CASES = 914, ACCEPTED = 43 };

/* SHA-256 over the numbers accepted, a line each: another libsodium that accepts another set changes what a leaf, a proof, a
 * cosignature is worth, and must be noticed. */
static const char accepted_set[] = "1d5bda7cd467d2d2a4d33e2dd71d7631d65949e7c9163c883e781060c53589ff";

static void edge_cases(void **state)
{
    struct buf text = BUF_EMPTY, numbers = BUF_EMPTY, hex = BUF_EMPTY;
    size_t i, accepted = 0;
    const json_t *object;
    (void)state;
    if (!vectors_read("ed25519vectors.json", &text))
        skip();
    json_t *list = json_loadb((const char *)text.data, text.len, 0, NULL);
    assert_int_equal(json_array_size(list), CASES);
    json_array_foreach(list, i, object)
    {
        uint8_t key[32], sig[64];
        assert_true(hex_decode(span_str(vector_text(object, "key")), key, sizeof key));
        assert_true(hex_decode(span_str(vector_text(object, "sig")), sig, sizeof sig));
        if (ed25519_verify(sig, span_str(vector_text(object, "msg")), key)) {
            accepted++;
            buf_fmt(&numbers, "%llu\n", (unsigned long long)vector_number(object, "number"));
        }
    }
    struct hash set = sha256_of(span_buf(&numbers));
    hex_encode(&hex, span_of(set.b, sizeof set.b));
    buf_byte(&hex, '\0');
    printf("# ed25519vectors.json: %d cases, %zu accepted\n", CASES, accepted);
    assert_int_equal(accepted, ACCEPTED);
    assert_string_equal((const char *)hex.data, accepted_set);
    json_decref(list);
    buf_free(&text);
    buf_free(&numbers);
    buf_free(&hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(edge_cases) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
