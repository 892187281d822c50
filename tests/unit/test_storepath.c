#include "tests/unit/support.h"

#include "lib/storepath.h"
#include "lib/sys/nixdb.h"
#include "tests/unit/nix.h"

#define HASH "qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1"

static void parts(void **state)
{
    struct storepath path;
    struct why why;
    (void)state;
    assert_int_equal(storepath_parse(&path, span_str("/nix/store/" HASH "-a-b.drv"), &why), OK);
    assert_true(span_is(path.dir, "/nix/store") && span_is(path.base, HASH "-a-b.drv"));
    assert_true(span_is(path.hash_part, HASH) && span_is(path.name, "a-b.drv"));
    assert_int_equal(storepath_parse_in(&path, span_str("/nix/store/" HASH "-a"), span_str("/nix/store"), &why), OK);
    assert_int_equal(storepath_parse_in(&path, span_str("/nix/store/" HASH "-a"), span_str("/nix"), &why), ERR_MALFORMED);
    assert_int_equal(storepath_parse_in(&path, span_str("/nix/store/" HASH "-a"), span_str("/nix/store/"), &why), ERR_MALFORMED);
    assert_int_equal(storepath_parse_base(&path, span_str(HASH "-a"), &why), OK);
    assert_int_equal(path.path.len + path.dir.len, 0);
    assert_int_equal(storepath_parse_base(&path, span_str("/nix/store/" HASH "-a"), &why), ERR_MALFORMED);
}

static void wrong_paths(void **state)
{
    static const char *const cases[] = {
        "",
        "/",
        HASH "-a",
        "/" HASH "-a", /* its folder is the root: no store */
        "nix/store/" HASH "-a",
        "/nix/store",
        "/nix/store/",
        "/nix/store/" HASH,
        "/nix/store/" HASH "-",
        "/nix/store/" HASH "_a",
        "/nix/store/" HASH "-a/",
        "/nix/store/" HASH "-a/bin/a",
        "/nix//store/" HASH "-a",
        "/nix/./store/" HASH "-a",
        "/nix/../store/" HASH "-a",
        "//nix/store/" HASH "-a",
        "/nix/st\nore/" HASH "-a",
        "/nix/store/" HASH "-.a",
        "/nix/store/" HASH "-a b",
        "/nix/store/" HASH "-a~",
        "/nix/store/" HASH "-\xc3\xa4",
        "/nix/store/ej1nyv3q9c3bh21p5yd5vxqqkpz7bfs1-a", /* e, o, t, u are not in the alphabet */
        "/nix/store/Qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1-a",
        "/nix/store/j1nyv3q9c3bh21p5yd5vxqqkpz7bfs1-a",
    };
    struct storepath path;
    struct why why;
    size_t accepted = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (storepath_parse(&path, span_str(cases[i]), &why) != ERR_MALFORMED) {
            print_error("accepted: %s\n", cases[i]);
            accepted++;
        }
    assert_int_equal(accepted, 0);
    assert_int_equal(storepath_parse(&path, span_of("/nix/store/" HASH "-a\0b", 47), &why), ERR_MALFORMED);
}

static void clean_paths(void **state)
{
    static const char *const cases[][2] = {
        { "/nix/store", "/nix/store" },
        { "/", "/" },
        { "//nix///store//", "/nix/store" },
        { "/nix/./a/../store/.", "/nix/store" },
        { "/../..", "/" },
        { "/a/../../b", "/b" },
        { "/nix/.../..a", "/nix/.../..a" },
    };
    struct buf out = BUF_EMPTY;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        storepath_clean(&out, span_str(cases[i][0]));
        assert_true(span_is(span_buf(&out), cases[i][1]));
    }
    buf_str(&out, "x/y");
    storepath_clean(&out, span_str("/../z"));
    assert_true(span_ends(span_buf(&out), "x/y/z"));
    buf_free(&out);
}

static void what_holds_a_path(void **state)
{
    static const char *const within[] = { "", "/", "/bin", "/bin/a", "/" HASH "-b", "/" HASH "-b/c" };
    static const char *const without[] = { "", "/", "/nix/store", "/nix/store/" HASH, "/" HASH "-a", HASH "-a" };
    struct storepath path;
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof within / sizeof *within; i++) {
        snprintf(text, sizeof text, "/nix/store/" HASH "-a%s", within[i]);
        assert_true(storepath_holding(&path, span_str(text)));
        assert_true(span_is(path.path, "/nix/store/" HASH "-a") && span_is(path.name, "a"));
    }
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_false(storepath_holding(&path, span_str(without[i])));
}

static void names(void **state)
{
    char name[STORE_NAME_BYTES_MAX + 1];
    (void)state;
    memset(name, 'n', sizeof name);
    assert_true(storepath_name_ok(span_of(name, 1)));
    assert_true(storepath_name_ok(span_of(name, STORE_NAME_BYTES_MAX)));
    assert_false(storepath_name_ok(span_of(name, STORE_NAME_BYTES_MAX + 1)));
    assert_false(storepath_name_ok(span_of(name, 0)));
    for (unsigned c = 0; c < 256; c++) {
        name[1] = (char)c;
        bool allowed = c != 0 && c < 128 && strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?=", (int)c);
        assert_int_equal(storepath_name_ok(span_of(name, 3)), allowed);
    }
}

#define SHA256_NIX32 "1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h"
#define SHA256_HEX   "10551daed7fa467d0b58826e7eb9a0f2af7d693de319f2ef775fffcda244b9f6"

static enum err from_ca(const char *ca, size_t references, bool self, struct buf *out, struct why *why)
{
    const struct span others[] = { span_str("/nix/store/" HASH "-x"), span_str("/nix/store/" HASH "-y") };
    buf_clear(out);
    return storepath_from_ca(out, span_str("/nix/store"), span_str("f"), span_str(ca), others, references, self, why);
}

static void content_addresses(void **state)
{
    static const char *const good[] = {
        "text:sha256:" SHA256_NIX32,
        "fixed:sha256:" SHA256_NIX32,
        "fixed:r:sha256:" SHA256_NIX32,
        "fixed:r:sha256:" SHA256_HEX,
        "fixed:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "fixed:md5:d41d8cd98f00b204e9800998ecf8427e",
    };
    static const char *const bad[] = {
        "",
        "text",
        "text:",
        "text:sha256",
        "text:sha256:",
        "text:r:sha256:" SHA256_NIX32,
        "text:md5:d41d8cd98f00b204e9800998ecf8427e",
        "fixed:",
        "fixed:r:",
        "fixed:r:r:sha256:" SHA256_NIX32,
        "fixed:sha256:" SHA256_NIX32 "0",
        "fixed:sha256-" SHA256_NIX32,
        "fixed:sha999:" SHA256_NIX32,
        "fixed:sha1:" SHA256_NIX32,
        "fixed:SHA256:" SHA256_NIX32,
        "fixed: sha256:" SHA256_NIX32,
        "source:sha256:" SHA256_NIX32,
    };
    struct buf out = BUF_EMPTY, again = BUF_EMPTY;
    struct storepath path;
    struct why why;
    size_t accepted = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(from_ca(good[i], 0, false, &out, &why), OK);
        assert_int_equal(storepath_parse_in(&path, span_buf(&out), span_str("/nix/store"), &why), OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (from_ca(bad[i], 0, false, &out, &why) != ERR_MALFORMED) {
            print_error("accepted: %s\n", bad[i]);
            accepted++;
        }
    assert_int_equal(accepted, 0);
    /* One hash, written twice, is one address. */
    assert_int_equal(from_ca("fixed:r:sha256:" SHA256_NIX32, 1, true, &out, &why), OK);
    assert_int_equal(from_ca("fixed:r:sha256:" SHA256_HEX, 1, true, &again, &why), OK);
    assert_true(span_eq(span_buf(&out), span_buf(&again)));
    buf_free(&out);
    buf_free(&again);
}

/* References are part of the path where the method has them, and refused elsewhere. */
static void references(void **state)
{
    static const struct {
        const char *ca;
        bool others, self;
    } cases[] = {
        { "text:sha256:" SHA256_NIX32, true, false },
        { "fixed:r:sha256:" SHA256_NIX32, true, true },
        { "fixed:sha256:" SHA256_NIX32, false, false },
        { "fixed:r:md5:d41d8cd98f00b204e9800998ecf8427e", false, false },
    };
    struct buf none = BUF_EMPTY, one = BUF_EMPTY, two = BUF_EMPTY, self = BUF_EMPTY;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(from_ca(cases[i].ca, 0, false, &none, &why), OK);
        assert_int_equal(from_ca(cases[i].ca, 1, false, &one, &why), cases[i].others ? OK : ERR_REFUSED);
        assert_int_equal(from_ca(cases[i].ca, 2, false, &two, &why), cases[i].others ? OK : ERR_REFUSED);
        assert_int_equal(from_ca(cases[i].ca, 0, true, &self, &why), cases[i].self ? OK : ERR_REFUSED);
        if (cases[i].others)
            assert_false(span_eq(span_buf(&none), span_buf(&one)) || span_eq(span_buf(&one), span_buf(&two)));
        if (cases[i].self)
            assert_false(span_eq(span_buf(&none), span_buf(&self)) || span_eq(span_buf(&one), span_buf(&self)));
    }
    buf_free(&none);
    buf_free(&one);
    buf_free(&two);
    buf_free(&self);
}

struct count {
    size_t text, flat, recursive, other, referring, self;
};

/* The path that the real Nix gave it must be the one that its content address gives, and no other address gives it. */
static enum err check_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct count *count = ctx;
    struct span others[16];
    struct storepath path;
    struct buf made = BUF_EMPTY;
    size_t n = 0;
    bool self = false;
    if (info->ca == NULL)
        return OK;
    assert_int_equal(storepath_parse(&path, span_str(info->path), why), OK);
    for (size_t i = 0; i < info->references_n; i++) {
        if (strcmp(info->references[i], info->path) == 0)
            self = true;
        else
            others[n++] = span_str(info->references[i]);
    }
    assert_int_equal(storepath_from_ca(&made, path.dir, path.name, span_str(info->ca), others, n, self, why), OK);
    if (!span_is(span_buf(&made), info->path))
        print_error("%s gives another path than Nix\n", info->ca);
    assert_true(span_is(span_buf(&made), info->path));
    if (n > 0) { /* a reference less is another path */
        buf_clear(&made);
        assert_int_equal(storepath_from_ca(&made, path.dir, path.name, span_str(info->ca), others, n - 1, self, why), OK);
        assert_false(span_is(span_buf(&made), info->path));
    }
    count->referring += n > 0;
    count->self += self;
    bool is_recursive = strncmp(info->ca, "fixed:r:sha256:", 15) == 0;
    bool is_text = strncmp(info->ca, "text:", 5) == 0, is_flat = strncmp(info->ca, "fixed:sha256:", 13) == 0;
    ++*(is_text ? &count->text : is_flat ? &count->flat : is_recursive ? &count->recursive : &count->other);
    buf_free(&made);
    return OK;
}

static void real_nix(void **state)
{
    struct nix_env env;
    struct nixdb *db;
    struct count count = { 0 };
    struct why why = { "" };
    (void)state;
    nix_world_make();
    nix_do("echo hi >\"$W/f\" && mkdir \"$W/d\" && cp \"$W/f\" \"$W/d/a+b?=.x\" && ln -s nowhere \"$W/d/l\"");
    nix_do("nix-store --add \"$W/f\" \"$W/d\"");
    nix_do("for h in md5 sha1 sha256 sha512; do nix-store --add-fixed $h \"$W/f\" &&"
           " nix-store --add-fixed --recursive $h \"$W/d\" \"$W/f\" || exit 1; done");
    nix_do("nix-instantiate --eval --read-write-mode -E 'let a = builtins.toFile \"a\" \"one\"; b = builtins.toFile \"b\" a; in"
           " builtins.toFile \"c\" \"${a} ${b}\"'");
    /* Content addresses of paths that refer to themselves and to others. */
    nix_do("printf %s 'derivation { name = \"self\"; system = builtins.currentSystem; builder = \"/bin/sh\";"
           " x = builtins.toFile \"x\" \"x\"; args = [ \"-c\" \"echo $out $x >$out\" ]; }' >\"$W/self.nix\"");
    nix_do("nix store make-content-addressed $(nix-build --no-out-link \"$W/self.nix\" 2>/dev/null) 2>/dev/null");
    assert_int_equal(nix_env_load(&env, NULL, &why), OK);
    assert_int_equal(nixdb_open(&db, &env, &why), OK);
    assert_int_equal(nixdb_each(db, check_path, &count, &why), OK);
    nixdb_close(db);
    nix_env_free(&env);
    /* Text: a, b, c, x and the .drv. Recursive: f and d (--add and --add-fixed --recursive sha256 are one), and what was made
     * of self and x. */
    assert_int_equal(count.text, 5);
    assert_int_equal(count.flat, 1);
    assert_int_equal(count.recursive, 4);
    assert_int_equal(count.other, 9);
    assert_int_equal(count.referring, 4);
    assert_int_equal(count.self, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),       cmocka_unit_test(wrong_paths),
        cmocka_unit_test(clean_paths), cmocka_unit_test(what_holds_a_path),
        cmocka_unit_test(names),       cmocka_unit_test(content_addresses),
        cmocka_unit_test(references),  cmocka_unit_test_teardown(real_nix, nix_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
