#include "tests/attestation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/statement.h"
#include "lib/storepath.h"

static struct hash hash_of(const char *what, uint64_t i)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s %" PRIu64, what, i);
    return sha256_of(span_of(text, (size_t)len));
}

/* A store path whose hash part depends on `what` and `i`. */
static void put_path(struct buf *out, const char *what, uint64_t i, const char *suffix)
{
    struct hash hash = hash_of(what, i);
    buf_str(out, "/nix/store/");
    nix32_encode(out, span_of(hash.b, 20));
    buf_fmt(out, "-%s-%" PRIu64 "%s", what, i, suffix);
}

static int by_path(const void *a, const void *b)
{
    return span_cmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

void test_attestation_path(struct buf *out, uint64_t number)
{
    put_path(out, "pkg", number, "");
}

static struct input *make_inputs(struct buf *paths, size_t n)
{
    static struct input inputs[TEST_INPUTS_MAX];
    static size_t starts[TEST_INPUTS_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        starts[i] = paths->len;
        put_path(paths, "input", i, "");
    }
    starts[n] = paths->len;
    for (size_t i = 0; i < n; i++)
        inputs[i] = (struct input){ .path = span_of(paths->data + starts[i], starts[i + 1] - starts[i]),
                                    .nar_hash = hash_of("input nar", i),
                                    .kind = INPUT_SOURCE };
    qsort(inputs, n, sizeof inputs[0], by_path);
    return inputs;
}

static enum err attestation(struct buf *lines, const struct secret_key *key, bool with_signature, uint64_t number, size_t inputs_n,
                            struct why *why)
{
    struct buf path = BUF_EMPTY, derivation = BUF_EMPTY, paths = BUF_EMPTY, payload = BUF_EMPTY, list = BUF_EMPTY, pae = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key);
    put_path(&path, "pkg", number, "");
    put_path(&derivation, "pkg", number, ".drv");
    struct span output = span_str("out");
    static struct span no_references[1];
    struct subject subject = { .path = span_buf(&path),
                               .nar_hash = hash_of("nar", number + ((uint64_t)inputs_n << 32)),
                               .output = output,
                               .nar_size = 4096 + number,
                               .references = no_references,
                               .references_digest = references_digest(NULL, 0) };
    struct statement statement = {
        .subjects = &subject,
        .subjects_n = 1,
        .build_type = span_str(NIX_BUILD_TYPE),
        .derivation = span_buf(&derivation),
        .outputs = &output,
        .outputs_n = 1,
        .claim = CLAIM_BUILD,
        .system = span_str("x86_64-linux"),
        .store_dir = span_str("/nix/store"),
        .inputs_recorded = true,
        .closure = hash_of("closure", number),
        .inputs = make_inputs(&paths, inputs_n),
        .inputs_n = inputs_n,
        .key_name = vkey.name,
        .stele_version = span_str(STELE_VERSION),
        .nix_version = span_str("2.8.0"),
    };
    enum err err = statement_render(&payload, &statement, &list, why);
    if (err == OK && list.len > 0) {
        buf_str(lines, "{\"inputs\":\"");
        base64_encode(lines, span_buf(&list));
        buf_str(lines, "\"}\n");
    }
    uint8_t sig[64] = { 0 };
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(&payload));
    if (err == OK && with_signature)
        err = secret_key_sign(key, span_buf(&pae), sig, why);
    if (err == OK) {
        envelope_render(lines, span_buf(&payload), &vkey, sig);
        buf_byte(lines, '\n');
        err = buf_done(lines, why);
    }
    struct buf *all[] = { &path, &derivation, &paths, &payload, &list, &pae };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_free(all[i]);
    return err;
}

enum err test_attestation(struct buf *lines, const struct secret_key *key, uint64_t number, size_t inputs_n, struct why *why)
{
    return attestation(lines, key, true, number, inputs_n, why);
}

enum err test_attestation_unsigned(struct buf *lines, const struct secret_key *key, uint64_t number, size_t inputs_n,
                                   struct why *why)
{
    return attestation(lines, key, false, number, inputs_n, why);
}
