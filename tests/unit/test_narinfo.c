#include "tests/unit/support.h"

#include <sodium.h>

#include "lib/narinfo.h"

#define DIR  "/nix/store"
#define HASH "qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1"
#define NAME "StorePath: " DIR "/" HASH "-f\n"
#define URL  "URL: nar/x.nar.xz?a=b\n"
#define NAR  "NarHash: sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h\nNarSize: 120\n"
#define REFS "References: " HASH "-f 0000000000000000000000000000000a-a\n"

static enum err parse(struct narinfo *info, const char *text, struct why *why)
{
    return narinfo_parse(info, span_str(text), span_str(DIR), why);
}

static void right_ones(void **state)
{
    struct narinfo info;
    struct why why;
    (void)state;
    assert_int_equal(parse(&info, NAME URL NAR REFS, &why), OK);
    assert_true(span_is(info.path.path, DIR "/" HASH "-f"));
    assert_true(span_is(info.url, "nar/x.nar.xz?a=b"));
    assert_true(span_is(info.compression, "bzip2")); /* Nix's default */
    assert_int_equal(info.nar_size, 120);
    assert_int_equal(info.references_n, 2);
    assert_true(span_is(info.references[0], "0000000000000000000000000000000a-a")); /* sorted */
    assert_int_equal(info.deriver.len + info.ca.len + info.sigs_n, 0);
    narinfo_free(&info);
    /* Any order; what Nix does not know, and what it never checks, is passed over. */
    assert_int_equal(parse(&info, "Extra: 1\nExtra: 2\nFileHash: nonsense\nFileSize: -1\n" NAR URL NAME, &why), OK);
    assert_int_equal(info.references_n, 0);
    narinfo_free(&info);
    /* Twice the same reference is once. */
    assert_int_equal(parse(&info, NAME URL NAR "References: " HASH "-f  " HASH "-f\nDeriver: unknown-deriver\n", &why), OK);
    assert_int_equal(info.references_n, 1);
    assert_int_equal(info.deriver.len, 0);
    narinfo_free(&info);
    assert_int_equal(parse(&info, NAME URL NAR "Compression: none\nDeriver: " HASH "-f.drv\n", &why), OK);
    assert_true(span_is(info.compression, "none") && span_is(info.deriver, HASH "-f.drv"));
    narinfo_free(&info);
}

static void wrong_ones(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "StorePath" },
        { URL NAR, "StorePath" },
        { NAME NAR, "URL is missing" },
        { NAME "URL: \n" NAR, "URL is missing" },
        { NAME URL "NarSize: 120\n", "NarHash is missing" },
        { NAME URL "NarHash: sha256:00\nNarSize: 120\n", "NarHash is missing or no SHA-256" },
        { NAME URL "NarHash: md5:d41d8cd98f00b204e9800998ecf8427e\nNarSize: 120\n", "no SHA-256" },
        { NAME URL "NarHash: sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h\n", "NarSize is missing" },
        { NAME URL NAR NAME, "line 5: StorePath stands there twice" },
        { NAME URL URL NAR, "line 3: URL stands there twice" },
        { NAME URL NAR "NarSize: 120\n", "NarSize stands there twice" },
        { NAME URL NAR REFS REFS, "References stands there twice" },
        { NAME URL NAR "References: " HASH "\n", "References" },
        { NAME URL NAR "References: " DIR "/" HASH "-f\n", "References" },
        { NAME URL NAR "Deriver: f.drv\n", "Deriver" },
        { NAME URL NAR "Deriver\n", "line 5 is not `Key: value`" },
        { NAME URL NAR "Deriver:x\n", "line 5 is not `Key: value`" },
        { NAME URL NAR "References:\n", "line 5 is not `Key: value`" }, /* Nix would take the next line for the value */
        { NAME URL NAR ": x\n", "line 5 is not `Key: value`" },
        { NAME URL NAR "\n", "line 5 is not `Key: value`" },
        { NAME URL NAR "Deriver: " HASH "-f.drv", "no newline" },
        { "StorePath: " DIR "/" HASH "-f\r\n" URL NAR, "control character 0x0d" },
        { NAME "URL: a\tb\n" NAR, "control character 0x09" },
        { "StorePath: /other/" HASH "-f\n" URL NAR, "is not in the store" },
        { NAME URL NAR "CA: fixed:r:sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h\n", "CA gives the path" },
        { NAME URL NAR "CA: nonsense\n", "no content address" },
    };
    static const char *const sizes[] = { "0", "-1", "+1", "1x", "01", " 1", "9223372036854775808", "" };
    struct narinfo info;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        why.text[0] = '\0';
        assert_int_equal(parse(&info, cases[i].text, &why), ERR_MALFORMED);
        if (strstr(why.text, cases[i].why) == NULL)
            assert_string_equal(why.text, cases[i].why);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[512];
        snprintf(text, sizeof text, NAME URL "NarHash: sha256-%s\nNarSize: %s\n",
                 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", i == 0 ? "9223372036854775807" : "1");
        assert_int_equal(parse(&info, text, &why), OK);
        narinfo_free(&info);
        snprintf(text, sizeof text, NAME URL "NarHash: sha256-%s\nNarSize: %s\n",
                 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", sizes[i]);
        assert_int_equal(parse(&info, text, &why), ERR_MALFORMED);
    }
}

/* A content address that fits is taken, with references and without. */
static void content_address(void **state)
{
    static const char ca[] = "fixed:r:sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h";
    struct span other = span_str(DIR "/0000000000000000000000000000000a-a");
    struct narinfo info;
    struct why why;
    (void)state;
    for (size_t n = 0; n < 2; n++) {
        struct buf path = BUF_EMPTY, text = BUF_EMPTY;
        assert_int_equal(storepath_from_ca(&path, span_str(DIR), span_str("f"), span_str(ca), &other, n, n == 1, &why), OK);
        struct span base = span_cut(span_buf(&path), strlen(DIR) + 1, path.len - strlen(DIR) - 1);
        for (int fits = 0; fits < 2; fits++) {
            buf_clear(&text);
            buf_fmt(&text, "StorePath: %.*s\n" URL NAR "CA: %s\nReferences: ", SPAN_FMT(span_buf(&path)), ca);
            if (n == 1)
                buf_fmt(&text, "%.*s ", SPAN_FMT(base));
            if ((n == 1) == (fits == 1))
                buf_str(&text, "0000000000000000000000000000000a-a");
            buf_byte(&text, '\n');
            assert_int_equal(narinfo_parse(&info, span_buf(&text), span_str(DIR), &why), fits ? OK : ERR_MALFORMED);
            narinfo_free(&info);
        }
        buf_free(&path);
        buf_free(&text);
    }
}

static void sign(struct buf *out, const char *name, struct span text, const uint8_t secret[64])
{
    uint8_t sig[64];
    crypto_sign_detached(sig, NULL, text.data, text.len, secret);
    buf_fmt(out, "Sig: %s:", name);
    base64_encode(out, span_of(sig, sizeof sig));
    buf_byte(out, '\n');
}

static void signatures(void **state)
{
    static const char unsigned_text[] = NAME URL NAR REFS;
    struct nix_key keys[3] = { { .name = span_str("one-1") }, { .name = span_str("two-1") }, { .name = span_str("one-1") } };
    uint8_t secrets[3][64], seed[32] = { 0 };
    struct buf print = BUF_EMPTY, text = BUF_EMPTY, again = BUF_EMPTY, third = BUF_EMPTY;
    struct narinfo info, info2;
    struct why why;
    bool by[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        seed[0] = (uint8_t)i;
        crypto_sign_seed_keypair(keys[i].key, secrets[i], seed);
    }
    assert_int_equal(parse(&info, unsigned_text, &why), OK);
    assert_int_equal(narinfo_verify(&info, keys, 3, by), 0);
    narinfo_fingerprint(&print, &info);
    assert_true(span_is(span_buf(&print),
                        "1;" DIR "/" HASH "-f;sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h;120;" DIR
                        "/0000000000000000000000000000000a-a," DIR "/" HASH "-f"));
    narinfo_free(&info);

    /* The third key has the first one's name: only the key decides. Malformed signatures are passed over. */
    buf_str(&text, unsigned_text);
    sign(&text, "one-1", span_buf(&print), secrets[0]);
    buf_str(&text, "Sig: nonsense\nSig: one-1:AAAA\nSig: one-1:\nSig: :AAAA\n");
    sign(&text, "three-1", span_buf(&print), secrets[1]); /* under a name that is not the key's */
    assert_int_equal(narinfo_parse(&info, span_buf(&text), span_str(DIR), &why), OK);
    assert_int_equal(info.sigs_n, 2);
    assert_int_equal(narinfo_verify(&info, keys, 3, by), 1);
    assert_true(by[0] && !by[1] && !by[2]);
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 1);
    assert_int_equal(narinfo_verify(&info, keys + 1, 2, NULL), 0);

    /* Rendered, it is still signed, and renders to itself. */
    narinfo_render(&again, &info);
    assert_int_equal(narinfo_parse(&info2, span_buf(&again), span_str(DIR), &why), OK);
    assert_int_equal(narinfo_verify(&info2, keys, 3, NULL), 1);
    narinfo_render(&third, &info2);
    assert_true(span_eq(span_buf(&again), span_buf(&third)));
    narinfo_free(&info2);

    /* Whatever the signature covers cannot be altered: path, hash, size, references. */
    info.nar_size++;
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 0);
    info.nar_size--;
    info.nar_hash.b[31] ^= 1;
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 0);
    info.nar_hash.b[31] ^= 1;
    info.references_n--;
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 0);
    info.references_n++;
    info.path.path.len--;
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 0);
    info.path.path.len++;
    assert_int_equal(narinfo_verify(&info, keys, 3, NULL), 1);
    narinfo_free(&info);
    buf_free(&print);
    buf_free(&text);
    buf_free(&again);
    buf_free(&third);
}

static void keys(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        "name",
        "name:",
        ":47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "name:AA",
        "name:AAAA",
        "name:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "name:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "name: 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    };
    struct nix_key key;
    struct why why;
    (void)state;
    assert_int_equal(nix_key_parse(&key, span_str("name:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), &why), OK);
    assert_true(span_is(key.name, "name"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(nix_key_parse(&key, span_str(bad[i]), &why), ERR_MALFORMED);
}

/* `n` lines or words, made by `one`, after a narinfo that is right without them. */
static enum err many(const char *before, const char *format, size_t n, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct narinfo info;
    buf_str(&text, NAME URL NAR);
    buf_str(&text, before);
    for (size_t i = 0; i < n; i++)
        for (const char *c = format; *c != '\0'; c++)
            *c == '#' ? buf_fmt(&text, "%08zu", i) : buf_byte(&text, (uint8_t)*c);
    buf_str(&text, before[0] == '\0' ? "" : "\n");
    enum err err = narinfo_parse(&info, span_buf(&text), span_str(DIR), why);
    if (err == OK)
        narinfo_free(&info);
    buf_free(&text);
    return err;
}

static void limits(void **state)
{
    static const char reference[] = "000000000000000000000000#-a ", sig[] = "Sig: a:#\n", filler[] = "X: 12345678901234567890#\n";
    struct why why;
    (void)state;
    assert_int_equal(many("References: ", reference, REFERENCES_MAX, &why), OK);
    assert_int_equal(many("References: ", reference, REFERENCES_MAX + 1, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "references"));
    assert_int_equal(many("", sig, NARINFO_SIGS_MAX, &why), OK);
    assert_int_equal(many("", sig, NARINFO_SIGS_MAX + 1, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "signatures"));
    assert_int_equal(many("", filler, NARINFO_BYTES_MAX / 40, &why), OK);
    assert_int_equal(many("", filler, NARINFO_BYTES_MAX / 30, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_ones), cmocka_unit_test(wrong_ones), cmocka_unit_test(content_address),
        cmocka_unit_test(signatures), cmocka_unit_test(keys),       cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
