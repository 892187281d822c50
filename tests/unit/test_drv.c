#include "tests/unit/support.h"

#include "lib/drv.h"
#include "lib/sys/file.h"
#include "lib/sys/nixdb.h"
#include "tests/unit/nix.h"

#define DIR  "/nix/store"
#define HASH "qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1"
#define PATH DIR "/" HASH
#define OUT  "(\"out\",\"" PATH "-n\",\"\",\"\")"
#define DEV  "(\"dev\",\"" PATH "-n-dev\",\"\",\"\")"
#define A    "(\"" PATH "-a.drv\",[\"dev\",\"out\"])"
#define B    "(\"" PATH "-b.drv\",[\"out\"])"
#define HEX  "10551daed7fa467d0b58826e7eb9a0f2af7d693de319f2ef775fffcda244b9f6"

static enum err parse(struct drv *drv, const char *text, struct why *why)
{
    return drv_parse(drv, span_str(text), span_str(DIR), why);
}

/* A derivation of these lists, the rest being right. */
static enum err lists(const char *outputs, const char *inputs, const char *sources, const char *env, struct why *why)
{
    char text[4096];
    struct drv drv;
    snprintf(text, sizeof text, "Derive([%s],[%s],[%s],\"x\",\"/bin/sh\",[\"-c\",\"-c\"],[%s])", outputs, inputs, sources, env);
    enum err err = parse(&drv, text, why);
    if (err == OK)
        drv_free(&drv);
    return err;
}

static void parts(void **state)
{
    struct drv drv;
    struct why why;
    (void)state;
    assert_int_equal(parse(&drv,
                           "Derive([" OUT "," DEV "],[" B "," A "],[\"" PATH "-s\",\"" PATH
                           "-r\"],\"x\",\"/b\\\"\",[\"z\",\"a\",\"\\n\\r\\t"
                           "\\\\\\q\",\"\"],[(\"b\",\"2\"),(\"a\",\"\\t1\")])",
                           &why),
                     OK);
    /* Sorted, but for the arguments. */
    assert_int_equal(drv.outputs_n, 2);
    assert_true(span_is(drv.outputs[0].name, "dev") && span_is(drv.outputs[1].name, "out"));
    assert_true(span_is(drv_output_find(&drv, span_str("out"))->path, PATH "-n"));
    assert_null(drv_output_find(&drv, span_str("doc")));
    assert_int_equal(drv.inputs_n, 2);
    assert_true(span_is(drv.inputs[0].path, PATH "-a.drv") && drv.inputs[0].outputs_n == 2);
    assert_int_equal(drv.sources_n, 2);
    assert_true(span_is(drv.sources[0], PATH "-r"));
    assert_true(span_is(drv.system, "x") && span_is(drv.builder, "/b\""));
    assert_int_equal(drv.args_n, 4);
    assert_true(span_is(drv.args[0], "z") && span_is(drv.args[1], "a") && span_is(drv.args[2], "\n\r\t\\q"));
    assert_int_equal(drv.args[3].len, 0);
    assert_int_equal(drv.env_n, 2);
    assert_true(span_is(drv.env[0].name, "a") && span_is(drv.env[0].value, "\t1"));
    assert_false(drv_is_fixed(&drv) || drv_is_floating(&drv));
    drv_free(&drv);
}

/* Nix keeps the first of repeated items in one list and the last in another; we refuse what has two readings. */
static void repeated(void **state)
{
    static const char env[] = "(\"a\",\"1\"),(\"b\",\"1\")", source[] = "\"" PATH "-s\"";
    struct why why;
    (void)state;
    assert_int_equal(lists(OUT "," DEV, A "," B, source, env, &why), OK);
    assert_int_equal(lists(OUT "," DEV "," OUT, A "," B, source, env, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "repeated"));
    assert_int_equal(lists(OUT, A "," B "," A, source, env, &why), ERR_MALFORMED);
    assert_int_equal(lists(OUT, "(\"" PATH "-a.drv\",[\"out\",\"out\"])", source, env, &why), ERR_MALFORMED);
    assert_int_equal(lists(OUT, A, "\"" PATH "-s\",\"" PATH "-s\"", env, &why), ERR_MALFORMED);
    assert_int_equal(lists(OUT, A, source, "(\"a\",\"1\"),(\"b\",\"1\"),(\"a\",\"2\")", &why), ERR_MALFORMED);
    assert_int_equal(lists("", A, source, env, &why), ERR_MALFORMED);
}

static void output_fields(void **state)
{
    static const struct {
        const char *output;
        bool fixed, floating;
        enum err err;
    } cases[] = {
        { OUT, false, false, OK },
        { "(\"out\",\"\",\"\",\"\")", false, false, OK }, /* rests on a floating one */
        { "(\"out\",\"\",\"r:sha256\",\"\")", false, true, OK },
        { "(\"out\",\"\",\"r:sha256\",\"impure\")", false, true, OK },
        { "(\"out\",\"" PATH "-n\",\"r:sha256\",\"impure\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"\",\"\",\"impure\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n\",\"r:sha256\",\"" HEX "\")", true, false, OK },
        { "(\"out\",\"" PATH "-n\",\"sha1\",\"da39a3ee5e6b4b0d3255bfef95601890afd80709\")", true, false, OK },
        { "(\"out\",\"" PATH "-n\",\"sha1\",\"" HEX "\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n\",\"sha999\",\"" HEX "\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n\",\"r:r:sha256\",\"" HEX "\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n\",\"\",\"" HEX "\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n\",\"sha256\",\"\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"\",\"sha256\",\"" HEX "\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"/other/" HASH "-n\",\"\",\"\")", false, false, ERR_MALFORMED },
        { "(\"out\",\"" PATH "-n/bin\",\"\",\"\")", false, false, ERR_MALFORMED },
    };
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        struct drv drv;
        snprintf(text, sizeof text, "Derive([%s],[],[],\"x\",\"/bin/sh\",[],[])", cases[i].output);
        assert_int_equal(parse(&drv, text, &why), cases[i].err);
        if (cases[i].err != OK)
            continue;
        assert_int_equal(drv_is_fixed(&drv), cases[i].fixed);
        assert_int_equal(drv_is_floating(&drv), cases[i].floating);
        drv_free(&drv);
    }
}

static void cut_short(void **state)
{
    static const char text[] =
        "Derive([" OUT "],[" A "],[\"" PATH "-s\"],\"x\",\"/bin/sh\",[\"\\\"\\\\\"],[(\"a\",\"\\n\"),(\"b\",\"\")])";
    struct drv drv;
    struct why why;
    (void)state;
    assert_int_equal(parse(&drv, text, &why), OK);
    drv_free(&drv);
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = span_dup_str(span_of(text, len)); /* so that a read past the end is seen */
        assert_int_equal(drv_parse(&drv, span_of(copy, len), span_str(DIR), &why), ERR_MALFORMED);
        assert_non_null(strstr(why.text, "at byte"));
        free(copy);
    }
    assert_int_equal(drv_parse(&drv, span_of(text, sizeof text), span_str(DIR), &why), ERR_MALFORMED); /* a NUL follows */
}

static enum err no_inputs(void *ctx, struct span path, struct span output, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)output;
    (void)out;
    return fail(why, ERR_ENV, "%.*s is not known", SPAN_FMT(path));
}

/* Of a derivation without inputs, in Nix's own order, the unmasked hash is that of its text. */
static void hash_of_text(void **state)
{
    static const char *const texts[] = {
        "Derive([" DEV "," OUT "],[],[],\"x\",\"/bin/sh\",[\"-c\",\"\\\"\\\\\\n\\r\\t\"],[(\"a\",\"\\n\"),(\"b\",\"\\\\\")])",
        "Derive([" OUT "],[],[\"" PATH "-r\",\"" PATH "-s\"],\"x\",\"\",[],[])", /* empty lists */
    };
    static const char reordered[] =
        "Derive([" OUT "," DEV "],[],[],\"x\",\"/bin/sh\",[\"-c\",\"\\\"\\\\\\n\\r\\t\"],[(\"b\",\"\\\\\"),(\"a\",\"\\n\")])";
    struct drv_modulo modulo = { no_inputs, NULL };
    struct drv drv;
    struct hash hash, first = sha256_of(span_str(texts[0]));
    struct why why;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct hash expected = sha256_of(span_str(texts[i]));
        assert_int_equal(parse(&drv, texts[i], &why), OK);
        assert_int_equal(drv_hash_modulo(&drv, false, NULL, &hash, &why), OK);
        assert_true(hash_eq(&hash, &expected));
        assert_int_equal(drv_hash_modulo(&drv, true, NULL, &hash, &why), OK);
        assert_false(hash_eq(&hash, &expected));
        drv_free(&drv);
    }
    assert_int_equal(parse(&drv, reordered, &why), OK);
    assert_int_equal(drv_hash_modulo(&drv, false, NULL, &hash, &why), OK);
    assert_true(hash_eq(&hash, &first));
    drv_free(&drv);
    /* An input that nobody knows is an error, not another hash. */
    assert_int_equal(parse(&drv, "Derive([" OUT "],[" A "],[],\"x\",\"\",[],[])", &why), OK);
    assert_int_equal(drv_hash_modulo(&drv, false, NULL, &hash, &why), ERR_ENV);
    assert_int_equal(drv_hash_modulo(&drv, false, &modulo, &hash, &why), ERR_ENV);
    drv_free(&drv);
}

static enum err check(const char *outputs, const char *env, struct why *why)
{
    char text[4096];
    struct drv drv;
    snprintf(text, sizeof text, "Derive([%s],[],[],\"x\",\"/bin/sh\",[],[%s])", outputs, env);
    assert_int_equal(parse(&drv, text, why), OK);
    enum err err = drv_check_outputs(&drv, span_str(DIR), span_str("n"), NULL, why);
    drv_free(&drv);
    return err;
}

/* A masked hash leaves the paths out, in the variables too: they are compared by themselves. */
static void outputs_checked(void **state)
{
    struct why why;
    struct drv drv;
    struct buf made = BUF_EMPTY;
    struct hash hash;
    char outputs[512], env[1024], other[2048];
    (void)state;
    snprintf(outputs, sizeof outputs, "(\"out\",\"" PATH "-n\",\"\",\"\")");
    snprintf(env, sizeof env, "Derive([%s],[],[],\"x\",\"/bin/sh\",[],[(\"out\",\"\")])", outputs);
    assert_int_equal(parse(&drv, env, &why), OK);
    assert_int_equal(drv_hash_modulo(&drv, true, NULL, &hash, &why), OK);
    drv_free(&drv);
    storepath_make(&made, span_str(DIR), span_str("output:out"), &hash, span_str("n"));
    snprintf(outputs, sizeof outputs, "(\"out\",\"%.*s\",\"\",\"\")", SPAN_FMT(span_buf(&made)));
    snprintf(env, sizeof env, "(\"out\",\"%.*s\")", SPAN_FMT(span_buf(&made)));
    assert_int_equal(check(outputs, env, &why), OK);
    assert_int_equal(check(OUT, "(\"out\",\"" PATH "-n\")", &why), ERR_REFUSED);
    assert_int_equal(check(outputs, "(\"out\",\"" PATH "-n\")", &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "variable out"));
    snprintf(other, sizeof other, "%s,(\"x\",\"1\")", env);
    assert_int_equal(check(outputs, other, &why), ERR_REFUSED); /* another derivation */
    buf_free(&made);

    static const char ca[] = "fixed:r:sha256:" HEX;
    assert_int_equal(storepath_from_ca(&made, span_str(DIR), span_str("n"), span_str(ca), NULL, 0, false, &why), OK);
    snprintf(outputs, sizeof outputs, "(\"out\",\"%.*s\",\"r:sha256\",\"" HEX "\")", SPAN_FMT(span_buf(&made)));
    snprintf(env, sizeof env, "(\"out\",\"%.*s\")", SPAN_FMT(span_buf(&made)));
    assert_int_equal(check(outputs, env, &why), OK);
    assert_int_equal(check(outputs, "", &why), ERR_REFUSED);
    snprintf(other, sizeof other, "(\"out\",\"%.*s\",\"sha256\",\"" HEX "\")", SPAN_FMT(span_buf(&made)));
    assert_int_equal(check(other, env, &why), ERR_REFUSED);
    /* Kinds do not mix; a fixed output is alone and named out. */
    snprintf(other, sizeof other, "%s," DEV, outputs);
    assert_int_equal(check(other, env, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "different kinds"));
    snprintf(other, sizeof other, "(\"dev\",\"" PATH "-n-dev\",\"r:sha256\",\"" HEX "\"),%s", outputs);
    assert_int_equal(check(other, env, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "one output"));
    assert_int_equal(check("(\"out\",\"\",\"sha256\",\"\"),(\"dev\",\"\",\"sha256\",\"\")", "", &why), OK);
    assert_int_equal(check("(\"out\",\"\",\"sha256\",\"\"),(\"dev\",\"\",\"\",\"\")", "", &why), ERR_REFUSED);
    assert_int_equal(check("(\"out\",\"\",\"sha256\",\"impure\"),(\"dev\",\"\",\"sha256\",\"impure\")", "", &why), OK);
    assert_int_equal(check("(\"out\",\"\",\"sha256\",\"impure\"),(\"dev\",\"\",\"sha256\",\"\")", "", &why), ERR_REFUSED);
    buf_free(&made);
}

/* A .drv file of the store, parsed; its text is *text. */
static enum err load(const char *path, const char *dir, struct buf *text, struct drv *drv, struct why *why)
{
    assert_int_equal(file_read(path, 1 << 20, text, why), OK);
    return drv_parse(drv, span_buf(text), span_str(dir), why);
}

static enum err stored_modulo(void *ctx, struct span path, struct span output, struct hash *out, struct why *why)
{
    struct drv_modulo again = { stored_modulo, ctx };
    struct buf text = BUF_EMPTY;
    struct drv drv;
    char *file = span_dup_str(path);
    assert_int_equal(load(file, ctx, &text, &drv, why), OK);
    enum err err = drv_is_fixed(&drv) ? drv_fixed_modulo(drv_output_find(&drv, output), out, why)
                                      : drv_hash_modulo(&drv, false, &again, out, why);
    drv_free(&drv);
    buf_free(&text);
    free(file);
    return err;
}

struct checking {
    char *dir;
    size_t drvs, floating;
};

static enum err check_stored(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct checking *checking = ctx;
    struct storepath path;
    struct drv drv;
    struct buf text = BUF_EMPTY;
    struct drv_modulo modulo = { stored_modulo, checking->dir };
    assert_int_equal(storepath_parse(&path, span_str(info->path), why), OK);
    if (!span_ends(path.name, ".drv"))
        return OK;
    enum err err = load(info->path, checking->dir, &text, &drv, why);
    if (err == OK)
        err = drv_check_outputs(&drv, path.dir, span_cut(path.name, 0, path.name.len - 4), &modulo, why);
    checking->drvs++;
    checking->floating += err == OK && drv_is_floating(&drv);
    if (err == OK)
        drv_free(&drv);
    buf_free(&text);
    return err == OK ? OK : fail_in(why, err, "%s", info->path);
}

/* What Nix writes unescaped in one place and escaped in another, several outputs, fixed ones with two mirrors, floating ones. */
static const char expression[] =
    "let d = n: a: derivation ({ name = n; system = \"x\"; builder = \"/bin/sh\"; } // a);"
    " f = m: d \"f\" { url = m; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\";"
    "   outputHash = builtins.hashString \"sha256\" \"f\"; };"
    " r = d \"r\" { outputHashMode = \"recursive\"; outputHashAlgo = \"sha1\";"
    "   outputHash = builtins.hashString \"sha1\" \"f\"; };"
    " o = m: d \"o\" { outputs = [ \"out\" \"dev\" \"a-b\" ]; x = [ (f m) r ]; };"
    " c = d \"c\" { __contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\"; };"
    " in [ (o \"one\") (o \"two\") c (d \"onc\" { inherit c; })"
    "   (d \"sys\" { system = \"a\\nb\\tc\"; builder = \"\\\"\\\\\"; args = [ \"\\r\" \"\" ]; e = \"a\\\"\\\\\\n\"; })"
    "   (d \"s\" { __structuredAttrs = true; x = { y = [ 1 null ]; }; })"
    "   (d \"u\" { x = [ (o \"one\").dev (o \"two\").dev (o \"one\").a-b (f \"one\") (f \"two\") ];"
    "     src = builtins.toFile \"t\" \"t\"; }) ]";

static void real_nix(void **state)
{
    struct nix_env env;
    struct nixdb *db;
    struct why why = { "" };
    struct checking checking = { .drvs = 0 };
    (void)state;
    nix_world_make();
    setenv("EXPRESSION", expression, 1);
    nix_do("nix-instantiate -E \"$EXPRESSION\" 2>/dev/null");
    assert_int_equal(nix_env_load(&env, NULL, &why), OK);
    assert_int_equal(nixdb_open(&db, &env, &why), OK);
    checking.dir = env.store_dir;
    enum err err = nixdb_each(db, check_stored, &checking, &why);
    nixdb_close(db);
    nix_env_free(&env);
    if (err != OK)
        print_error("%s\n", why.text);
    assert_int_equal(err, OK);
    assert_int_equal(checking.drvs, 10);
    assert_int_equal(checking.floating, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(repeated),
        cmocka_unit_test(output_fields),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(hash_of_text),
        cmocka_unit_test(outputs_checked),
        cmocka_unit_test_teardown(real_nix, nix_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
