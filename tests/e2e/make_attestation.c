/*
 * Attestations for the tests.
 *   make_attestation key NAME FILE            a builder's key: FILE and FILE.pub
 *   make_attestation FILE FIRST N [INPUTS]    N distinct envelopes by that key, one a line, numbered from FIRST. With
 *                                             INPUTS the statement has so many: where they do not fit, their list comes
 *                                             first, on a line of its own; and its output another hash: it contradicts the
 *                                             attestation of the same number with another number of inputs
 *   make_attestation sign FILE                an envelope by that key, of the payload on stdin
 * Envelope I is always of the same bytes. Its output is /nix/store/HASHPART-pkg-I: `make_attestation path I` prints it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "tests/attestation.h"

static enum err make_key(const char *name, const char *file, struct why *why)
{
    struct secret_key *key = NULL;
    enum err err = secret_key_new(&key, span_str(name), SIG_ED25519, why);
    if (err == OK)
        err = secret_key_save(key, file, why);
    secret_key_free(key);
    return err;
}

static enum err sign(const char *file, struct why *why)
{
    struct secret_key *key = NULL;
    struct buf payload = BUF_EMPTY, pae = BUF_EMPTY, envelope = BUF_EMPTY;
    uint8_t sig[64], chunk[4096];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        buf_add(&payload, chunk, len);
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(&payload));
    enum err err = secret_key_load(&key, file, SIG_ED25519, why);
    if (err == OK)
        err = secret_key_sign(key, span_buf(&pae), sig, why);
    if (err == OK) {
        struct vkey vkey = secret_key_vkey(key);
        envelope_render(&envelope, span_buf(&payload), &vkey, sig);
        fwrite(envelope.data, 1, envelope.len, stdout);
    }
    secret_key_free(key);
    buf_free(&payload);
    buf_free(&pae);
    buf_free(&envelope);
    return err;
}

static enum err run(int argc, char **argv, struct why *why)
{
    uint64_t first, n, inputs = 1;
    if (argc == 4 && strcmp(argv[1], "key") == 0)
        return make_key(argv[2], argv[3], why);
    if (argc == 3 && strcmp(argv[1], "sign") == 0)
        return sign(argv[2], why);
    if (argc == 3 && strcmp(argv[1], "path") == 0 && span_decimal(span_str(argv[2]), UINT32_MAX, &n)) {
        struct buf path = BUF_EMPTY;
        test_attestation_path(&path, n);
        printf("%.*s\n", SPAN_FMT(span_buf(&path)));
        buf_free(&path);
        return OK;
    }
    if (argc < 4 || argc > 5 || !span_decimal(span_str(argv[2]), UINT32_MAX, &first) ||
        !span_decimal(span_str(argv[3]), UINT32_MAX, &n) ||
        (argc == 5 && !span_decimal(span_str(argv[4]), TEST_INPUTS_MAX, &inputs)))
        return fail(why, ERR_USAGE, "see the top of make_attestation.c");
    struct secret_key *key = NULL;
    enum err err = secret_key_load(&key, argv[1], SIG_ED25519, why);
    struct buf lines = BUF_EMPTY;
    for (uint64_t i = first; err == OK && i < first + n; i++) {
        buf_clear(&lines);
        err = test_attestation(&lines, key, i, (size_t)inputs, why);
        if (err == OK)
            fwrite(lines.data, 1, lines.len, stdout);
    }
    buf_free(&lines);
    secret_key_free(key);
    return err;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err = key_system_start(&why);
    if (err == OK)
        err = run(argc, argv, &why);
    if (err != OK)
        fprintf(stderr, "make_attestation: %s\n", why.text);
    return (int)err;
}
