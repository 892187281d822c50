#include "tests/unit/support.h"

#include "lib/drv.h"
#include "lib/nar.h"
#include "lib/narinfo.h"

enum { DRVS_MAX = 64 };

/* The good derivations seen so far, for those that depend on them. */
static struct {
    const char *path, *text, *dir;
} drvs[DRVS_MAX];
static size_t drvs_n;

static enum err modulo_of(void *ctx, struct span path, struct span output, struct hash *out, struct why *why)
{
    struct drv_modulo again = { modulo_of, ctx };
    for (size_t i = 0; i < drvs_n; i++) {
        struct drv drv;
        if (!span_is(path, drvs[i].path))
            continue;
        assert_int_equal(drv_parse(&drv, span_str(drvs[i].text), span_str(drvs[i].dir), why), OK);
        enum err err = drv_is_fixed(&drv) ? drv_fixed_modulo(drv_output_find(&drv, output), out, why)
                                          : drv_hash_modulo(&drv, false, &again, out, why);
        drv_free(&drv);
        return err;
    }
    return fail(why, ERR_ENV, "%.*s is not among the vectors", SPAN_FMT(path));
}

static void same_text(struct span ours, const json_t *theirs)
{
    assert_true(span_eq(ours, span_of(json_string_value(theirs), json_string_length(theirs))));
}

static void same_list(const struct span *ours, size_t n, const json_t *theirs)
{
    assert_int_equal(n, json_array_size(theirs));
    for (size_t i = 0; i < n; i++)
        same_text(ours[i], json_array_get(theirs, i));
}

/* What `nix show-derivation` says of it. */
static void check_shown(const struct drv *drv, const json_t *shown)
{
    const json_t *outputs = json_object_get(shown, "outputs"), *inputs = json_object_get(shown, "inputDrvs"),
                 *env = json_object_get(shown, "env");
    assert_int_equal(drv->outputs_n, json_object_size(outputs));
    for (size_t i = 0; i < drv->outputs_n; i++) {
        const json_t *output = json_object_getn(outputs, (const char *)drv->outputs[i].name.data, drv->outputs[i].name.len);
        assert_non_null(output);
        if (json_object_get(output, "path") != NULL)
            same_text(drv->outputs[i].path, json_object_get(output, "path"));
        if (json_object_get(output, "hashAlgo") != NULL)
            same_text(drv->outputs[i].hash_algo, json_object_get(output, "hashAlgo"));
        if (json_object_get(output, "hash") != NULL)
            same_text(drv->outputs[i].hash, json_object_get(output, "hash"));
    }
    assert_int_equal(drv->inputs_n, json_object_size(inputs));
    for (size_t i = 0; i < drv->inputs_n; i++)
        same_list(drv->inputs[i].outputs, drv->inputs[i].outputs_n,
                  json_object_getn(inputs, (const char *)drv->inputs[i].path.data, drv->inputs[i].path.len));
    same_list(drv->sources, drv->sources_n, json_object_get(shown, "inputSrcs"));
    same_list(drv->args, drv->args_n, json_object_get(shown, "args"));
    same_text(drv->system, json_object_get(shown, "system"));
    same_text(drv->builder, json_object_get(shown, "builder"));
    assert_int_equal(drv->env_n, json_object_size(env));
    for (size_t i = 0; i < drv->env_n; i++)
        same_text(drv->env[i].value, json_object_getn(env, (const char *)drv->env[i].name.data, drv->env[i].name.len));
}

static bool one_drv(const json_t *object)
{
    struct buf text = BUF_EMPTY;
    struct drv drv;
    struct why why;
    struct storepath path;
    struct drv_modulo modulo = { modulo_of, NULL };
    const char *dir = vector_text(object, "store_dir");
    assert_true(vector_bytes(object, "drv", &text));
    assert_int_equal(storepath_parse_in(&path, span_str(vector_text(object, "path")), span_str(dir), &why), OK);
    bool ok = json_is_true(json_object_get(object, "ok"));
    bool accepted = drv_parse(&drv, span_buf(&text), span_str(dir), &why) == OK;
    if (accepted) {
        struct span name = span_cut(path.name, 0, path.name.len - 4);
        accepted = drv_check_outputs(&drv, span_str(dir), name, &modulo, &why) == OK;
        if (accepted && ok && json_object_get(object, "shown") != NULL)
            check_shown(&drv, json_object_get(object, "shown"));
        drv_free(&drv);
    }
    if (ok && drvs_n < DRVS_MAX && vector_text(object, "drv") != NULL) {
        drvs[drvs_n].path = vector_text(object, "path");
        drvs[drvs_n].dir = dir;
        drvs[drvs_n++].text = vector_text(object, "drv");
    }
    if (ok && !accepted)
        print_error("%s\n", why.text);
    buf_free(&text);
    return accepted;
}

static bool one_nix32(const json_t *object)
{
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    uint8_t bytes[64], expected[64];
    size_t size = vector_number(object, "size");
    assert_true(vector_bytes(object, "text", &text));
    bool accepted = nix32_decode(span_buf(&text), bytes, size);
    if (accepted && json_is_true(json_object_get(object, "ok"))) {
        assert_true(hex_decode(span_str(vector_text(object, "bytes")), expected, size));
        assert_memory_equal(bytes, expected, size);
        nix32_encode(&again, span_of(bytes, size));
        assert_true(span_eq(span_buf(&again), span_buf(&text)));
    }
    buf_free(&text);
    buf_free(&again);
    return accepted;
}

static bool one_narinfo(const json_t *object)
{
    struct buf text = BUF_EMPTY, fingerprint = BUF_EMPTY, again = BUF_EMPTY, third = BUF_EMPTY;
    struct narinfo info, info2;
    struct nix_key keys[16];
    struct why why;
    size_t n = 0, i;
    const json_t *item;
    const char *dir = vector_text(object, "store_dir");
    bool accepted = true;
    assert_true(vector_bytes(object, "narinfo", &text));
    json_array_foreach(json_object_get(object, "keys"), i, item) accepted &=
        nix_key_parse(&keys[n++], span_str(json_string_value(item)), &why) == OK;
    if (accepted && narinfo_parse(&info, span_buf(&text), span_str(dir), &why) == OK) {
        accepted = span_is(info.path.path, vector_text(object, "path")) && narinfo_verify(&info, keys, n, NULL) > 0;
        if (accepted && json_object_get(object, "fingerprint") != NULL && vector_text(object, "level") == NULL) {
            narinfo_fingerprint(&fingerprint, &info);
            assert_true(span_is(span_buf(&fingerprint), vector_text(object, "fingerprint")));
        }
        /* What we render parses, and renders to itself. */
        narinfo_render(&again, &info);
        assert_int_equal(narinfo_parse(&info2, span_buf(&again), span_str(dir), &why), OK);
        narinfo_render(&third, &info2);
        assert_true(span_eq(span_buf(&again), span_buf(&third)));
        narinfo_free(&info2);
        narinfo_free(&info);
    } else {
        accepted = false;
    }
    buf_free(&text);
    buf_free(&fingerprint);
    buf_free(&again);
    buf_free(&third);
    return accepted;
}

static void write_node(struct buf *out, const json_t *node)
{
    const char *type = vector_text(node, "type");
    struct buf data = BUF_EMPTY;
    size_t i;
    const json_t *entry;
    if (strcmp(type, "regular") == 0) {
        assert_true(vector_bytes(node, "contents", &data));
        nar_put_contents_start(out, json_is_true(json_object_get(node, "executable")), data.len);
        buf_span(out, span_buf(&data));
        nar_put_contents_end(out, data.len);
    } else if (strcmp(type, "symlink") == 0) {
        assert_true(vector_bytes(node, "target", &data));
        nar_put_symlink(out, span_buf(&data));
    } else {
        nar_put_directory_start(out);
        json_array_foreach(json_object_get(node, "entries"), i, entry)
        {
            buf_clear(&data);
            assert_true(vector_bytes(entry, "name", &data));
            nar_put_entry_start(out, span_buf(&data));
            write_node(out, json_object_get(entry, "node"));
            nar_put_entry_end(out);
        }
        nar_put_directory_end(out);
    }
    buf_free(&data);
}

/* The verdict must not depend on how the bytes are cut: whole, and one by one. */
static bool parse_nar(struct span bytes, size_t step)
{
    struct why why;
    struct nar_parser *parser = nar_parser_new();
    enum err err = OK;
    for (size_t at = 0; at < bytes.len && err == OK; at += step)
        err = nar_parser_feed(parser, span_cut(bytes, at, bytes.len - at < step ? bytes.len - at : step), &why);
    if (err == OK)
        err = nar_parser_end(parser, &why);
    nar_parser_free(parser);
    return err == OK;
}

static bool one_nar(const json_t *object)
{
    struct buf bytes = BUF_EMPTY, again = BUF_EMPTY, nix32 = BUF_EMPTY;
    assert_true(vector_bytes(object, "nar", &bytes));
    bool accepted = parse_nar(span_buf(&bytes), bytes.len + 1);
    assert_int_equal(parse_nar(span_buf(&bytes), 1), accepted);
    assert_int_equal(parse_nar(span_buf(&bytes), 7), accepted);
    if (accepted && json_object_get(object, "tree") != NULL) {
        struct hash hash = sha256_of(span_buf(&bytes)), expected;
        vector_hex(object, "sha256", expected.b, sizeof expected.b);
        assert_true(hash_eq(&hash, &expected));
        assert_int_equal(bytes.len, vector_number(object, "size"));
        nix32_encode(&nix32, span_of(hash.b, sizeof hash.b));
        assert_true(span_is(span_buf(&nix32), vector_text(object, "nix32")));
        nar_put_start(&again);
        write_node(&again, json_object_get(object, "tree"));
        assert_true(span_eq(span_buf(&again), span_buf(&bytes)));
    }
    buf_free(&bytes);
    buf_free(&again);
    buf_free(&nix32);
    return accepted;
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    if (strcmp(kind, "nix32") == 0)
        return one_nix32(object);
    if (strcmp(kind, "drv") == 0)
        return one_drv(object);
    if (strcmp(kind, "nar") == 0)
        return one_nar(object);
    assert_string_equal(kind, "narinfo");
    return one_narinfo(object);
}

static void nix(void **state)
{
    (void)state;
    run_vectors("nix.json", NULL, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nix) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
