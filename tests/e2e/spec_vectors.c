/*
 * spec_vectors FOLDER: writes the test vectors of spec/vectors/ (its README says what they hold). Always the same bytes:
 * tests/unit/check_vectors.sh holds what is committed against them, tests/unit/vectors_spec.c runs them through the real code.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/headsfile.h"
#include "lib/statement.h"
#include "tests/vectors/vector.h"

static struct why why;

/* The attestation that most cases are about. */
static void make_entry(struct buf *payload, struct buf *entry, const struct secret_key *key, const char *bytes)
{
    struct vkey vkey = secret_key_vkey(key);
    struct buf list = BUF_EMPTY, pae = BUF_EMPTY;
    struct span output = span_str("out"), references[] = { span_str(VECTOR_GLIBC), span_str(VECTOR_HELLO) };
    struct subject subject = { .path = span_str(VECTOR_STORE VECTOR_HELLO),
                               .nar_hash = vector_hash(bytes),
                               .output = output,
                               .nar_size = 226552,
                               .references = references,
                               .references_n = 2,
                               .references_digest = references_digest(references, 2) };
    struct input inputs[] = {
        { .path = span_str(VECTOR_STORE VECTOR_GLIBC),
          .nar_hash = vector_hash("glibc"),
          .kind = INPUT_OUTPUT,
          .derivation = span_str(VECTOR_STORE "8n4z8xjxbpbq3ycs37aqmgp6b8ysgyrp-glibc-2.37-8.drv") },
        { .path = span_str(VECTOR_STORE VECTOR_BUILDER), .nar_hash = vector_hash("builder"), .kind = INPUT_SOURCE },
    };
    struct statement statement = {
        .subjects = &subject,
        .subjects_n = 1,
        .build_type = span_str(NIX_BUILD_TYPE),
        .derivation = span_str(VECTOR_STORE "2h1wpr7j3ml8qlhsc5mqxwyy6ngf6bly-hello-2.12.1.drv"),
        .outputs = &output,
        .outputs_n = 1,
        .claim = CLAIM_BUILD,
        .system = span_str("x86_64-linux"),
        .store_dir = span_str("/nix/store"),
        .inputs_recorded = true,
        .closure = vector_hash("closure"),
        .inputs = inputs,
        .inputs_n = 2,
        .key_name = vkey.name,
        .stele_version = span_str("0.1.0"),
    };
    uint8_t sig[64];
    must(statement_render(payload, &statement, &list, &why), &why);
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(payload));
    must(secret_key_sign(key, span_buf(&pae), sig, &why), &why);
    envelope_render(entry, span_buf(payload), &vkey, sig);
    buf_free(&list);
    buf_free(&pae);
}

/* With the two files about what is in one, and around it. */
static void attestations(const char *folder)
{
    static const struct {
        const char *name, *from, *to;
    } wrong[] = {
        { "white space", ":\"application", ": \"application" },
        { "an escape that stands for itself", "application/vnd", "application\\/vnd" },
        { "an unknown member", ",\"signatures\"", ",\"more\":1,\"signatures\"" },
        { "another payload type", "in-toto+json", "in-toto+jsoN" },
        { "members in another order", "{\"keyid\"", "{\"x\":\"\",\"keyid\"" },
        { "base64 without padding", "==\"}", "\"}" },
        { "URL-safe base64", "+", "-" },
        { "a newline at the end", "}]}", "}]}\n" },
        { "a signature over something else", "\"sig\":\"", "\"sig\":\"AAAA" },
        { "another key's name", "\"keyid\":\"ci.", "\"keyid\":\"di." },
    };
    struct secret_key *key = vector_key("ci.example.org/builder", SIG_ED25519);
    struct buf out = BUF_EMPTY, payload = BUF_EMPTY, entry = BUF_EMPTY, text = BUF_EMPTY;
    make_entry(&payload, &entry, key, "hello");
    struct hash leaf = merkle_leaf_hash(span_buf(&entry));
    vector_put_vkey(&text, key);
    vector_open(&out, "an attestation", true);
    vector_member(&out, "vkey", span_buf(&text));
    vector_member(&out, "payload", span_buf(&payload));
    vector_member(&out, "entry", span_buf(&entry));
    vector_member_hash(&out, "leafHash", &leaf);
    vector_close(&out);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_clear(&text);
        vector_altered(&text, span_buf(&entry), wrong[i].from, NULL, wrong[i].to);
        vector_open(&out, wrong[i].name, false);
        vector_member(&out, "entry", span_buf(&text));
        vector_close(&out);
    }
    vector_write(folder, "attestation.json", &out);
    vectors_statement(folder, span_buf(&payload));
    vectors_bundle(folder, span_buf(&entry));
    buf_free(&payload);
    buf_free(&entry);
    buf_free(&text);
    secret_key_free(key);
}

static void inputs(const char *folder)
{
    static const struct {
        const char *name, *list;
    } wrong[] = {
        { "not sorted", VECTOR_STORE VECTOR_BUILDER " @ source\n" VECTOR_STORE VECTOR_GLIBC " @ source\n" },
        { "a path twice", VECTOR_STORE VECTOR_GLIBC " @ source\n" VECTOR_STORE VECTOR_GLIBC " @ source\n" },
        { "no newline at the end", VECTOR_STORE VECTOR_GLIBC " @ source" },
        { "a kind that there is not", VECTOR_STORE VECTOR_GLIBC " @ sauce\n" },
        { "an output without its derivation", VECTOR_STORE VECTOR_GLIBC " @ output\n" },
        { "two spaces", VECTOR_STORE VECTOR_GLIBC "  @ source\n" },
    };
    struct input right[] = {
        { .path = span_str(VECTOR_STORE VECTOR_GLIBC),
          .nar_hash = vector_hash("glibc"),
          .kind = INPUT_OUTPUT,
          .derivation = span_str(VECTOR_STORE "8n4z8xjxbpbq3ycs37aqmgp6b8ysgyrp-glibc-2.37-8.drv") },
        { .path = span_str(VECTOR_STORE VECTOR_BUILDER), .nar_hash = vector_hash("builder"), .kind = INPUT_SOURCE },
    };
    struct buf out = BUF_EMPTY, list = BUF_EMPTY, hex = BUF_EMPTY;
    struct sha256 state;
    struct hash digest;
    input_list_render(&list, right, 2);
    sha256_start(&state);
    for (size_t i = 0; i < 2; i++)
        closure_digest_add(&state, right[i].path, &right[i].nar_hash);
    vector_open(&out, "two inputs", true);
    vector_member(&out, "list", span_buf(&list));
    digest = sha256_of(span_buf(&list));
    vector_member_hash(&out, "sha256", &digest);
    digest = sha256_end(&state);
    /* As if these two were all of the closure. */
    vector_member_hash(&out, "closure", &digest);
    vector_close(&out);
    digest = vector_hash("glibc");
    hex_encode(&hex, span_of(digest.b, sizeof digest.b));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct span rest = span_str(wrong[i].list);
        buf_clear(&list);
        for (; rest.len > 0; rest = span_cut(rest, 1, rest.len - 1))
            if (rest.data[0] == '@')
                buf_span(&list, span_buf(&hex));
            else
                buf_byte(&list, rest.data[0]);
        vector_open(&out, wrong[i].name, false);
        vector_member(&out, "list", span_buf(&list));
        vector_close(&out);
    }
    vector_write(folder, "inputs.json", &out);
    buf_free(&list);
    buf_free(&hex);
}

static void files(const char *folder)
{
    struct secret_key *key = vector_key("log.example.org/stele", SIG_ED25519);
    struct buf out = BUF_EMPTY, text = BUF_EMPTY;
    secret_key_render(&text, key);
    vector_open(&out, "a secret key", true);
    vector_member(&out, "form", span_str("secret-key"));
    vector_member(&out, "text", span_buf(&text));
    buf_clear(&text);
    vector_put_vkey(&text, key);
    vector_member(&out, "vkey", span_buf(&text));
    vector_close(&out);
    vector_open(&out, "a vkey with another key's ID", false);
    text.data[text.len - 3] = text.data[text.len - 3] == 'A' ? 'B' : 'A';
    vector_member(&out, "form", span_str("vkey"));
    vector_member(&out, "text", span_buf(&text));
    vector_close(&out);
    buf_clear(&text);
    struct headsfile_record records[] = {
        { vector_hash("log.example.org/stele"), { .size = 3, .root = vector_hash("root") }, 1700000000, 1, 1 },
        { vector_hash("log.example.org/stele"), { .size = 5, .root = vector_hash("later root") }, 1700000001, 2, 2 },
    };
    headsfile_header(&text);
    headsfile_record(&text, &records[0]);
    headsfile_record(&text, &records[1]);
    for (int damaged = 0; damaged < 2; damaged++) {
        vector_open(&out, damaged ? "a heads file with a bit flipped" : "a heads file", !damaged);
        vector_member(&out, "form", span_str("heads"));
        text.data[130] ^= (uint8_t)damaged;
        buf_str(&out, ",\n  \"text_b64\": \"");
        base64_encode(&out, span_buf(&text));
        buf_str(&out, "\",\n  \"size\": 5");
        vector_close(&out);
    }
    vector_write(folder, "files.json", &out);
    buf_free(&text);
    secret_key_free(key);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    must(key_system_start(&why), &why);
    attestations(argv[1]);
    inputs(argv[1]);
    vectors_trust(argv[1]);
    vectors_trust_file(argv[1]);
    vectors_evidence(argv[1]);
    files(argv[1]);
    return 0;
}
