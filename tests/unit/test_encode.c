/* Base64: the same verdicts and bytes as libsodium's strict decoder, which, though, takes every byte from 0x80 on for a
 * slash (1.0.18). */
#include "tests/unit/support.h"
#include "tests/unit/nix.h"
#include "lib/hash.h"

#include <sodium.h>

#include "lib/encode.h"

enum { TEXT_MAX = 64 };

static bool is_ascii(const char *text, size_t len)
{
    uint8_t high = 0;
    for (size_t i = 0; i < len; i++)
        high |= (uint8_t)text[i];
    return high < 0x80;
}

/* Both decode `text`, or neither, and to the same. */
static bool agrees(const char *text, size_t len)
{
    static struct buf ours;
    uint8_t theirs[TEXT_MAX], exact[TEXT_MAX];
    size_t theirs_len;
    buf_clear(&ours);
    buf_byte(&ours, 'x'); /* what stands there already stays */
    bool taken = base64_decode(span_of(text, len), &ours);
    bool ascii = is_ascii(text, len);
    bool wanted =
        ascii && sodium_base642bin(theirs, sizeof theirs, text, len, NULL, &theirs_len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
    if (taken != wanted || ours.data[0] != 'x' || ours.len != 1 + (taken ? theirs_len : 0) ||
        (taken && memcmp(ours.data + 1, theirs, theirs_len) != 0)) {
        print_error("%.*s: ours %d, libsodium's %d\n", (int)len, text, taken, wanted);
        return false;
    }
    if (taken &&
        (base64_decoded_len(span_of(text, len)) != theirs_len || !base64_decode_to(span_of(text, len), exact, theirs_len) ||
         memcmp(exact, theirs, theirs_len) != 0 || base64_decode_to(span_of(text, len), exact, theirs_len + 1) ||
         (theirs_len > 0 && base64_decode_to(span_of(text, len), exact, theirs_len - 1))))
        return false;
    bool url_taken = base64url_decode(span_of(text, len), &ours);
    bool url_wanted =
        ascii && sodium_base642bin(theirs, sizeof theirs, text, len, NULL, &theirs_len, NULL, sodium_base64_VARIANT_URLSAFE) == 0;
    return url_taken == url_wanted;
}

/* Every pair of bytes, at every two places of the last group, with every padding. */
static void every_pair_everywhere(void **state)
{
    static const char *const texts[] = { "EfGh", "EfE=", "EQ==", "Ef==", "E-/=" };
    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        size_t len = strlen(texts[t]);
        char text[TEXT_MAX];
        memcpy(text, texts[t], len);
        for (size_t i = 0; i < len; i++)
            for (size_t k = i + 1; k < len; k++) {
                for (unsigned both = 0; both < 1u << 16; both++) {
                    text[i] = (char)(both >> 8);
                    text[k] = (char)(both & 255);
                    assert_true(agrees(text, len));
                }
                text[i] = texts[t][i];
                text[k] = texts[t][k];
            }
    }
}

/* Every byte at every place of a longer text. */
static void every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < 24; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[] = "abcdefghijkl+/ABCDEFGHE=";
            text[i] = (char)byte;
            assert_true(agrees(text, sizeof text - 1));
        }
}

/* Every length, with every count of padding, and every length's own text with a byte more or less. */
static void every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len + 4 < TEXT_MAX; len++)
        for (size_t padding = 0; padding <= 4; padding++) {
            char text[TEXT_MAX];
            memset(text, 'A', len);
            memset(text + len, '=', padding);
            assert_true(agrees(text, len + padding));
        }
    for (size_t n = 0; n < 40; n++) {
        struct buf text = BUF_EMPTY;
        uint8_t bytes[40];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(251 * i + n);
        base64_encode(&text, span_of(bytes, n));
        assert_true(agrees((const char *)text.data, text.len));
        buf_byte(&text, '\n');
        assert_true(agrees((const char *)text.data, text.len));
        assert_true(text.len < 2 || agrees((const char *)text.data, text.len - 2));
        buf_free(&text);
    }
}

/* Hex and nix32 by their alphabets, spelt out. */
static void every_digit(void **state)
{
    static const char hex[] = "0123456789abcdef", nix32[] = "0123456789abcdfghijklmnpqrsvwxyz";
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        const char both[] = { (char)byte, '1', '\0' }, other[] = { '0', (char)byte, '\0' };
        const char *digit = byte == 0 ? NULL : strchr(hex, (int)byte);
        uint8_t out[1];
        assert_int_equal(hex_decode(span_of(both, 2), out, 1), digit != NULL);
        assert_true(digit == NULL || out[0] == (digit - hex) * 16 + 1);
        assert_int_equal(hex_decode(span_of(other, 2), out, 1), digit != NULL);
        assert_true(digit == NULL || out[0] == digit - hex);
        digit = byte == 0 ? NULL : strchr(nix32, (int)byte);
        assert_int_equal(nix32_alphabet(span_of(other, 2)), digit != NULL);
        assert_int_equal(nix32_decode(span_of(other, 2), out, 1), digit != NULL);
        assert_true(digit == NULL || out[0] == digit - nix32);
        /* The first of two has three bits that fit. */
        assert_int_equal(nix32_decode(span_of(both, 2), out, 1), digit != NULL && digit - nix32 < 8);
    }
}

/* What Nix's own tool makes of SHA-256 hashes. */
static void real_nix(void **state)
{
    (void)state;
    nix_world_make();
    for (unsigned n = 0; n < 24; n++) {
        struct hash hash = sha256_of(span_of(&n, sizeof n));
        struct buf hex = BUF_EMPTY, wanted = BUF_EMPTY;
        hex_encode(&hex, span_of(hash.b, sizeof hash.b));
        nix32_encode(&wanted, span_of(hash.b, sizeof hash.b));
        buf_str(&wanted, "\nsha256-");
        base64_encode(&wanted, span_of(hash.b, sizeof hash.b));
        char command[256];
        snprintf(command, sizeof command, "nix-hash --type sha256 --to-base32 %.*s && nix hash to-sri --type sha256 %.*s",
                 SPAN_FMT(span_buf(&hex)), SPAN_FMT(span_buf(&hex)));
        char *theirs = nix_run(command);
        assert_true(span_is(span_buf(&wanted), theirs));
        free(theirs);
        buf_free(&hex);
        buf_free(&wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_pair_everywhere), cmocka_unit_test(every_byte),
                                        cmocka_unit_test(every_length), cmocka_unit_test(every_digit),
                                        cmocka_unit_test_teardown(real_nix, nix_world_end) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
