/*
 * spec_vectors FOLDER: writes the test vectors of spec/vectors/ (its README says what they hold). Always the same bytes:
 * tests/unit/check_vectors.sh holds what is committed against them, tests/unit/vectors_spec.c runs them through the real code.
 */
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "lib/dsse.h"
#include "lib/headsfile.h"
#include "lib/proof.h"
#include "lib/statement.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/trust.h"

#define STORE   "/nix/store/"
#define HELLO   "y7zw0pmm1sfvfs1lnnwkiw32jhr0m18q-hello-2.12.1"
#define GLIBC   "3n58xw4373jp0ljirf06d8077j15pc4j-glibc-2.37-8"
#define BUILDER "9krlzvny65gdc8s7kpb6lkx8cd02c25b-default-builder.sh"

static struct why why;

static void must(enum err err)
{
    if (err == OK)
        return;
    fprintf(stderr, "spec_vectors: %s\n", why.text);
    exit(1);
}

static struct hash hash_of(const char *text)
{
    return sha256_of(span_str(text));
}

/* The key of that name: its seed is the SHA-256 of "stele test key NAME". */
static struct secret_key *key_of(const char *name, enum sig_type type)
{
    struct buf text = BUF_EMPTY, what = BUF_EMPTY;
    uint8_t public[32], secret[64], typed[33] = { (uint8_t)type };
    struct secret_key *key = NULL;
    buf_fmt(&what, "stele test key %s", name);
    struct hash seed = sha256_of(span_buf(&what));
    crypto_sign_seed_keypair(public, secret, seed.b);
    memcpy(typed + 1, seed.b, sizeof seed.b);
    buf_fmt(&text, "PRIVATE+KEY+%s+%08x+", name, (unsigned)key_id(span_str(name), type, public));
    base64_encode(&text, span_of(typed, sizeof typed));
    must(secret_key_parse(&key, span_buf(&text), type, &why));
    buf_free(&text);
    buf_free(&what);
    return key;
}

static void put_vkey(struct buf *out, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    vkey_render(out, &vkey);
}

/* ,"NAME":"TEXT" */
static void member(struct buf *out, const char *name, struct span text)
{
    buf_fmt(out, ",\n  \"%s\": ", name);
    json_put_string(out, text);
}

static void member_hash(struct buf *out, const char *name, const struct hash *hash)
{
    buf_fmt(out, ",\n  \"%s\": \"", name);
    hex_encode(out, span_of(hash->b, sizeof hash->b));
    buf_byte(out, '"');
}

static void open_case(struct buf *out, const char *name, bool ok)
{
    buf_fmt(out, "%s{\n  \"name\": ", out->len == 0 ? "[\n" : ",\n");
    json_put_string(out, span_str(name));
    buf_fmt(out, ",\n  \"ok\": %s", ok ? "true" : "false");
}

static void close_case(struct buf *out)
{
    buf_str(out, "\n}");
}

static void write_file(const char *folder, const char *name, struct buf *out)
{
    char *path = path_join(folder, name);
    buf_str(out, "\n]\n");
    must(buf_done(out, &why));
    must(file_replace(path, 0644, span_buf(out), &why));
    free(path);
    buf_free(out);
}

/* The attestation that most cases are about. */
static void make_entry(struct buf *payload, struct buf *entry, const struct secret_key *key, const char *bytes)
{
    struct vkey vkey = secret_key_vkey(key);
    struct buf list = BUF_EMPTY, pae = BUF_EMPTY;
    struct span output = span_str("out"), references[] = { span_str(GLIBC), span_str(HELLO) };
    struct subject subject = { .path = span_str(STORE HELLO),
                               .nar_hash = hash_of(bytes),
                               .output = output,
                               .nar_size = 226552,
                               .references = references,
                               .references_n = 2,
                               .references_digest = references_digest(references, 2) };
    struct input inputs[] = {
        { .path = span_str(STORE GLIBC),
          .nar_hash = hash_of("glibc"),
          .kind = INPUT_OUTPUT,
          .derivation = span_str(STORE "8n4z8xjxbpbq3ycs37aqmgp6b8ysgyrp-glibc-2.37-8.drv") },
        { .path = span_str(STORE BUILDER), .nar_hash = hash_of("builder"), .kind = INPUT_SOURCE },
    };
    struct statement statement = {
        .subjects = &subject,
        .subjects_n = 1,
        .build_type = span_str(NIX_BUILD_TYPE),
        .derivation = span_str(STORE "2h1wpr7j3ml8qlhsc5mqxwyy6ngf6bly-hello-2.12.1.drv"),
        .outputs = &output,
        .outputs_n = 1,
        .claim = CLAIM_BUILD,
        .system = span_str("x86_64-linux"),
        .store_dir = span_str("/nix/store"),
        .inputs_recorded = true,
        .closure = hash_of("closure"),
        .inputs = inputs,
        .inputs_n = 2,
        .key_name = vkey.name,
        .stele_version = span_str("0.1.0"),
    };
    uint8_t sig[64];
    must(statement_render(payload, &statement, &list, &why));
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(payload));
    must(secret_key_sign(key, span_buf(&pae), sig, &why));
    envelope_render(entry, span_buf(payload), &vkey, sig);
    buf_free(&list);
    buf_free(&pae);
}

/* `text` with its first `from` as `to`. */
static void altered(struct buf *out, struct span text, const char *from, const char *to)
{
    for (size_t i = 0; i + strlen(from) <= text.len; i++)
        if (span_starts(span_cut(text, i, text.len - i), from)) {
            size_t after = i + strlen(from);
            buf_span(out, span_cut(text, 0, i));
            buf_str(out, to);
            buf_span(out, span_cut(text, after, text.len - after));
            return;
        }
    must(fail(&why, ERR_ENV, "no %s to alter", from));
}

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
    struct secret_key *key = key_of("ci.example.org/builder", SIG_ED25519);
    struct buf out = BUF_EMPTY, payload = BUF_EMPTY, entry = BUF_EMPTY, text = BUF_EMPTY;
    make_entry(&payload, &entry, key, "hello");
    struct hash leaf = merkle_leaf_hash(span_buf(&entry));
    put_vkey(&text, key);
    open_case(&out, "an attestation", true);
    member(&out, "vkey", span_buf(&text));
    member(&out, "payload", span_buf(&payload));
    member(&out, "entry", span_buf(&entry));
    member_hash(&out, "leafHash", &leaf);
    close_case(&out);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_clear(&text);
        altered(&text, span_buf(&entry), wrong[i].from, wrong[i].to);
        open_case(&out, wrong[i].name, false);
        member(&out, "entry", span_buf(&text));
        close_case(&out);
    }
    write_file(folder, "attestation.json", &out);
    buf_free(&payload);
    buf_free(&entry);
    buf_free(&text);
    secret_key_free(key);
}

/* A note: the head of a tree of `leaves`, signed by the log and cosigned by so many of its two witnesses. */
static void make_note(struct buf *out, const struct hash *leaves, size_t n, struct secret_key *const keys[3], size_t witnesses)
{
    struct frontier tree;
    struct buf text = BUF_EMPTY;
    uint8_t sig[64], cosignature[COSIGNATURE_BYTES];
    frontier_start(&tree);
    for (size_t i = 0; i < n; i++)
        frontier_append(&tree, &leaves[i]);
    struct checkpoint head = { .origin = secret_key_vkey(keys[0]).name, .size = n, .root = frontier_root(&tree) };
    checkpoint_render(&text, &head);
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    struct vkey log = secret_key_vkey(keys[0]);
    must(secret_key_sign(keys[0], span_buf(&text), sig, &why));
    note_sig_render(out, &log, span_of(sig, sizeof sig));
    for (size_t w = 1; w <= witnesses; w++) {
        struct vkey witness = secret_key_vkey(keys[w]);
        must(secret_key_cosign(keys[w], 1700000000, span_buf(&text), true, cosignature, &why));
        note_sig_render(out, &witness, span_of(cosignature, sizeof cosignature));
    }
    buf_free(&text);
}

static void proof_case(struct buf *out, const char *name, bool ok, struct span policy, struct span bundle)
{
    open_case(out, name, ok);
    member(out, "policy", policy);
    member(out, "bundle", bundle);
    close_case(out);
}

/* Three entries; the proof is of the second. */
static void proofs(const char *folder)
{
    struct secret_key *keys[] = { key_of("log.example.org/stele", SIG_ED25519), key_of("w1.example.org", SIG_COSIGNATURE),
                                  key_of("w2.example.net", SIG_COSIGNATURE) };
    struct secret_key *builder = key_of("ci.example.org/builder", SIG_ED25519);
    struct buf out = BUF_EMPTY, payload = BUF_EMPTY, entry = BUF_EMPTY, note = BUF_EMPTY, bundle = BUF_EMPTY, policy = BUF_EMPTY;
    make_entry(&payload, &entry, builder, "hello");
    struct hash leaves[] = { hash_of("first"), merkle_leaf_hash(span_buf(&entry)), hash_of("third") };
    struct hash path[] = { leaves[0], leaves[2] };
    struct span extra = span_buf(&entry);
    buf_str(&policy, "log ");
    put_vkey(&policy, keys[0]);
    buf_str(&policy, "\nwitness w1 ");
    put_vkey(&policy, keys[1]);
    buf_str(&policy, "\nwitness w2 ");
    put_vkey(&policy, keys[2]);
    buf_str(&policy, "\ngroup both all w1 w2\nquorum both\n");
    make_note(&note, leaves, 3, keys, 2);
    proof_render(&bundle, &extra, 1, path, 2, span_buf(&note));
    proof_case(&out, "a bundle", true, span_buf(&policy), span_buf(&bundle));
    buf_clear(&bundle);
    proof_render(&bundle, &extra, 0, path, 2, span_buf(&note));
    proof_case(&out, "another index", false, span_buf(&policy), span_buf(&bundle));
    buf_clear(&bundle);
    proof_render(&bundle, &extra, 1, path, 1, span_buf(&note));
    proof_case(&out, "a hash too few", false, span_buf(&policy), span_buf(&bundle));
    buf_clear(&bundle);
    proof_render(&bundle, NULL, 1, path, 2, span_buf(&note));
    proof_case(&out, "a bundle without its attestation", false, span_buf(&policy), span_buf(&bundle));
    buf_clear(&bundle);
    buf_clear(&note);
    make_note(&note, leaves, 3, keys, 1);
    proof_render(&bundle, &extra, 1, path, 2, span_buf(&note));
    proof_case(&out, "a witness too few", false, span_buf(&policy), span_buf(&bundle));
    write_file(folder, "bundle.json", &out);
    struct buf *all[] = { &payload, &entry, &note, &bundle, &policy };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_free(all[i]);
    for (size_t i = 0; i < 3; i++)
        secret_key_free(keys[i]);
    secret_key_free(builder);
}

static void inputs(const char *folder)
{
    static const struct {
        const char *name, *list;
    } wrong[] = {
        { "not sorted", STORE BUILDER " @ source\n" STORE GLIBC " @ source\n" },
        { "a path twice", STORE GLIBC " @ source\n" STORE GLIBC " @ source\n" },
        { "no newline at the end", STORE GLIBC " @ source" },
        { "a kind that there is not", STORE GLIBC " @ sauce\n" },
        { "an output without its derivation", STORE GLIBC " @ output\n" },
        { "two spaces", STORE GLIBC "  @ source\n" },
    };
    struct input right[] = {
        { .path = span_str(STORE GLIBC),
          .nar_hash = hash_of("glibc"),
          .kind = INPUT_OUTPUT,
          .derivation = span_str(STORE "8n4z8xjxbpbq3ycs37aqmgp6b8ysgyrp-glibc-2.37-8.drv") },
        { .path = span_str(STORE BUILDER), .nar_hash = hash_of("builder"), .kind = INPUT_SOURCE },
    };
    struct buf out = BUF_EMPTY, list = BUF_EMPTY, hex = BUF_EMPTY;
    struct sha256 state;
    struct hash digest;
    input_list_render(&list, right, 2);
    sha256_start(&state);
    for (size_t i = 0; i < 2; i++)
        closure_digest_add(&state, right[i].path, &right[i].nar_hash);
    open_case(&out, "two inputs", true);
    member(&out, "list", span_buf(&list));
    digest = sha256_of(span_buf(&list));
    member_hash(&out, "sha256", &digest);
    digest = sha256_end(&state);
    /* As if these two were all of the closure. */
    member_hash(&out, "closure", &digest);
    close_case(&out);
    digest = hash_of("glibc");
    hex_encode(&hex, span_of(digest.b, sizeof digest.b));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct span rest = span_str(wrong[i].list);
        buf_clear(&list);
        for (; rest.len > 0; rest = span_cut(rest, 1, rest.len - 1))
            if (rest.data[0] == '@')
                buf_span(&list, span_buf(&hex));
            else
                buf_byte(&list, rest.data[0]);
        open_case(&out, wrong[i].name, false);
        member(&out, "list", span_buf(&list));
        close_case(&out);
    }
    write_file(folder, "inputs.json", &out);
    buf_free(&list);
    buf_free(&hex);
}

/* One trust decision: who attested what of HELLO, whose bytes are "hello", and what comes of it. */
struct decision {
    const char *name, *rules; /* after the lines of builders a, b and cache c */
    const char *by_a, *by_b;  /* the bytes that they attested; NULL: nothing */
    const char *claim;        /* of both */
    bool cache_signed, content_addressed;
    enum trust_verdict verdict;
};

static void put_evidence(struct buf *out, const struct secret_key *key, const char *bytes, const char *claim, unsigned index)
{
    struct hash hash = hash_of(bytes);
    buf_fmt(out, "%s\n    { \"vkey\": \"", out->data[out->len - 1] == '[' ? "" : ",");
    put_vkey(out, key);
    buf_fmt(out, "\", \"origin\": \"log.example.org/stele\", \"index\": %u, \"claim\": \"%s\", \"narHash\": \"", index, claim);
    hex_encode(out, span_of(hash.b, sizeof hash.b));
    buf_str(out, "\" }");
}

static void trust_decisions(const char *folder)
{
    static const struct decision decisions[] = {
        { "one builder of any two", "group g any a b\nquorum g\n", "hello", NULL, "build", false, false, TRUST_ATTESTED },
        { "one builder where both must agree", "group g all a b\nquorum g\n", "hello", NULL, "build", false, false, TRUST_REFUSED },
        { "both builders", "group g all a b\nquorum g\n", "hello", "hello", "build", false, false, TRUST_ATTESTED },
        { "two builders that differ", "group g all a b\nquorum g\n", "hello", "other", "build", false, false, TRUST_REFUSED },
        { "other bytes", "quorum a\n", "other", NULL, "build", false, false, TRUST_REFUSED },
        { "a builder who is not named", "quorum a\n", NULL, "hello", "build", false, false, TRUST_REFUSED },
        { "a rebuild counts", "quorum a\n", "hello", NULL, "rebuild", false, false, TRUST_ATTESTED },
        { "a backfill does not", "quorum a\n", "hello", NULL, "backfill", false, false, TRUST_REFUSED },
        { "unless it is accepted", "quorum a\nbackfill accept\n", "hello", NULL, "backfill", false, false, TRUST_ATTESTED },
        { "up to an index", "quorum a\nbackfill accept before 7 log.example.org/stele\n", "hello", NULL, "backfill", false, false,
          TRUST_REFUSED },
        { "revoked", "quorum a\nrevoke a\n", "hello", NULL, "build", false, false, TRUST_REFUSED },
        { "revoked later", "quorum a\nrevoke a from 8 log.example.org/stele\n", "hello", NULL, "build", false, false,
          TRUST_ATTESTED },
        { "revoked from here", "quorum a\nrevoke a from 7 log.example.org/stele\n", "hello", NULL, "build", false, false,
          TRUST_REFUSED },
        { "a cache vouches", "quorum c\n", NULL, NULL, "build", true, false, TRUST_VOUCHED },
        { "a cache that did not sign", "quorum c\n", NULL, NULL, "build", false, false, TRUST_REFUSED },
        { "the last line that matches", "quorum c\nquorum a hello-*\n", NULL, NULL, "build", true, false, TRUST_REFUSED },
        { "the default where none matches", "quorum a x*\nquorum c\n", NULL, NULL, "build", true, false, TRUST_VOUCHED },
        { "exempt", "quorum a\nexempt hello-*\n", NULL, NULL, "build", false, false, TRUST_EXEMPT },
        { "content is its name", "quorum a\n", NULL, NULL, "build", false, true, TRUST_FIXED },
        { "and that is not enough", "quorum a\nfixed-output require\n", NULL, NULL, "build", false, true, TRUST_REFUSED },
    };
    struct secret_key *a = key_of("a.example.org", SIG_ED25519), *b = key_of("b.example.org", SIG_ED25519);
    struct buf out = BUF_EMPTY, text = BUF_EMPTY;
    struct hash bytes = hash_of("hello"), cache = hash_of("stele test key of a cache");
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
        const struct decision *d = &decisions[i];
        buf_clear(&text);
        buf_str(&text, "builder a ");
        put_vkey(&text, a);
        buf_str(&text, "\nbuilder b ");
        put_vkey(&text, b);
        buf_str(&text, "\ncache c cache.example.org-1:");
        base64_encode(&text, span_of(cache.b, sizeof cache.b));
        buf_fmt(&text, "\n%s", d->rules);
        open_case(&out, d->name, d->verdict != TRUST_REFUSED);
        member(&out, "trust", span_buf(&text));
        member(&out, "path", span_str(STORE HELLO));
        member_hash(&out, "narHash", &bytes);
        buf_str(&out, ",\n  \"narSize\": 226552,\n  \"references\": [\"" GLIBC "\", \"" HELLO "\"]");
        buf_fmt(&out, ",\n  \"cacheSigned\": %s,\n  \"contentAddressed\": %s,\n  \"evidence\": [",
                d->cache_signed ? "true" : "false", d->content_addressed ? "true" : "false");
        if (d->by_a != NULL)
            put_evidence(&out, a, d->by_a, d->claim, 7);
        if (d->by_b != NULL)
            put_evidence(&out, b, d->by_b, d->claim, 9);
        buf_fmt(&out, "],\n  \"verdict\": \"%s\"", trust_verdict_name(d->verdict));
        close_case(&out);
    }
    write_file(folder, "trust.json", &out);
    buf_free(&text);
    secret_key_free(a);
    secret_key_free(b);
}

static void files(const char *folder)
{
    struct secret_key *key = key_of("log.example.org/stele", SIG_ED25519);
    struct buf out = BUF_EMPTY, text = BUF_EMPTY;
    secret_key_render(&text, key);
    open_case(&out, "a secret key", true);
    member(&out, "form", span_str("secret-key"));
    member(&out, "text", span_buf(&text));
    buf_clear(&text);
    put_vkey(&text, key);
    member(&out, "vkey", span_buf(&text));
    close_case(&out);
    open_case(&out, "a vkey with another key's ID", false);
    text.data[text.len - 3] = text.data[text.len - 3] == 'A' ? 'B' : 'A';
    member(&out, "form", span_str("vkey"));
    member(&out, "text", span_buf(&text));
    close_case(&out);
    buf_clear(&text);
    struct headsfile_record records[] = {
        { hash_of("log.example.org/stele"), { .size = 3, .root = hash_of("root") }, 1700000000, 1, 1 },
        { hash_of("log.example.org/stele"), { .size = 5, .root = hash_of("later root") }, 1700000001, 2, 2 },
    };
    headsfile_header(&text);
    headsfile_record(&text, &records[0]);
    headsfile_record(&text, &records[1]);
    for (int damaged = 0; damaged < 2; damaged++) {
        open_case(&out, damaged ? "a heads file with a bit flipped" : "a heads file", !damaged);
        member(&out, "form", span_str("heads"));
        text.data[130] ^= (uint8_t)damaged;
        buf_str(&out, ",\n  \"text_b64\": \"");
        base64_encode(&out, span_buf(&text));
        buf_str(&out, "\",\n  \"size\": 5");
        close_case(&out);
    }
    write_file(folder, "files.json", &out);
    buf_free(&text);
    secret_key_free(key);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    must(key_system_start(&why));
    attestations(argv[1]);
    proofs(argv[1]);
    inputs(argv[1]);
    trust_decisions(argv[1]);
    files(argv[1]);
    return 0;
}
