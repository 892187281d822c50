#define _GNU_SOURCE /* RTLD_NEXT */
/* What a note costs whoever verifies it: a line that stands there a hundred times is verified once. */
#include "tests/unit/support.h"

#include <dlfcn.h>
#include <sodium.h>

#include "lib/cosignature.h"
#include "lib/sys/key.h"

static size_t verifications;

/* In place of the library's, which it calls. */
int crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *message, unsigned long long len,
                                const unsigned char *key)
{
    __typeof__(&crypto_sign_verify_detached) real;
    *(void **)&real = dlsym(RTLD_NEXT, "crypto_sign_verify_detached");
    verifications++;
    return real(sig, message, len, key);
}

static const char text[] = "log.example\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

/* The line of a new key of that type; its public half borrows from *key. */
static struct vkey sign(struct buf *line, struct secret_key **key, const char *name, enum sig_type type)
{
    uint8_t sig[COSIGNATURE_BYTES];
    assert_int_equal(secret_key_new(key, span_str(name), type, NULL), OK);
    struct vkey vkey = secret_key_vkey(*key);
    if (type == SIG_ED25519)
        assert_int_equal(secret_key_sign(*key, span_str(text), sig, NULL), OK);
    else
        assert_int_equal(secret_key_cosign(*key, 1000, span_str(text), true, sig, NULL), OK);
    note_sig_render(line, &vkey, span_of(sig, type == SIG_ED25519 ? 64 : sizeof sig));
    return vkey;
}

static void repeated_lines(void **state)
{
    struct secret_key *log, *witness;
    struct buf log_line = BUF_EMPTY, witness_line = BUF_EMPTY, whole = BUF_EMPTY;
    (void)state;
    struct vkey log_key = sign(&log_line, &log, "log.example", SIG_ED25519);
    struct vkey witness_key = sign(&witness_line, &witness, "w.example", SIG_COSIGNATURE);
    buf_str(&whole, text);
    buf_byte(&whole, '\n');
    for (size_t i = 0; i < NOTE_SIGNATURES_MAX; i++)
        buf_span(&whole, span_buf(i % 2 == 0 ? &log_line : &witness_line));

    struct note note;
    bool verified = false;
    size_t unverified;
    uint64_t time_s;
    assert_int_equal(note_parse(&note, span_buf(&whole), NULL), OK);
    verifications = 0;
    assert_int_equal(note_verify(&note, &log_key, 1, &verified, &unverified, NULL), OK);
    assert_true(verified);
    assert_int_equal(unverified, 1);
    assert_int_equal(verifications, 1);
    verifications = 0;
    assert_int_equal(cosignature_verify(&note, &witness_key, 1, &verified, &time_s, NULL), OK);
    assert_true(verified);
    assert_int_equal(time_s, 1000);
    assert_int_equal(verifications, 1);

    secret_key_free(log);
    secret_key_free(witness);
    buf_free(&log_line);
    buf_free(&witness_line);
    buf_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(repeated_lines) };
    struct why why;
    return key_system_start(&why) == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
