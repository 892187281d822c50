#include "tests/unit/support.h"

#include "lib/nar.h"

static const char text[] = "123456789 123456789";

static void put_file(struct buf *out, const char *name, bool executable, size_t size)
{
    nar_put_entry_start(out, span_str(name));
    nar_put_contents_start(out, executable, size);
    buf_add(out, text, size);
    nar_put_contents_end(out, size);
    nar_put_entry_end(out);
}

/* Every kind of node, and contents on both sides of a multiple of eight. */
static void put_tree(struct buf *out)
{
    nar_put_start(out);
    nar_put_directory_start(out);
    put_file(out, "0", false, 0);
    put_file(out, "1", true, 1);
    put_file(out, "7", false, 7);
    put_file(out, "8", false, 8);
    put_file(out, "9", true, 9);
    nar_put_entry_start(out, span_str("dir"));
    nar_put_directory_start(out);
    put_file(out, "inner", false, 16);
    nar_put_directory_end(out);
    nar_put_entry_end(out);
    nar_put_entry_start(out, span_str("empty"));
    nar_put_directory_start(out);
    nar_put_directory_end(out);
    nar_put_entry_end(out);
    nar_put_entry_start(out, span_str("link"));
    nar_put_symlink(out, span_str("../elsewhere"));
    nar_put_entry_end(out);
    nar_put_directory_end(out);
    assert_false(out->failed);
}

/* Fed in two pieces, the first `cut` bytes long. */
static enum err parse_cut(struct span bytes, size_t cut, struct why *why)
{
    struct nar_parser *parser = nar_parser_new();
    assert_non_null(parser);
    enum err err = nar_parser_feed(parser, span_cut(bytes, 0, cut), why);
    if (err == OK)
        err = nar_parser_feed(parser, span_cut(bytes, cut, bytes.len - cut), why);
    if (err == OK)
        err = nar_parser_end(parser, why);
    nar_parser_free(parser);
    return err;
}

static enum err parse(struct span bytes, struct why *why)
{
    return parse_cut(bytes, 0, why);
}

static enum err parse_bytewise(struct span bytes)
{
    struct nar_parser *parser = nar_parser_new();
    struct why why;
    enum err err = OK;
    for (size_t i = 0; i < bytes.len && err == OK; i++)
        err = nar_parser_feed(parser, span_cut(bytes, i, 1), &why);
    if (err == OK)
        err = nar_parser_end(parser, &why);
    nar_parser_free(parser);
    return err;
}

static void cut_anywhere(void **state)
{
    struct buf nar = BUF_EMPTY;
    struct why why;
    (void)state;
    put_tree(&nar);
    for (size_t cut = 0; cut <= nar.len; cut++)
        assert_int_equal(parse_cut(span_buf(&nar), cut, &why), OK);
    assert_int_equal(parse_bytewise(span_buf(&nar)), OK);
    for (size_t len = 0; len < nar.len; len++) {
        assert_int_equal(parse(span_cut(span_buf(&nar), 0, len), &why), ERR_MALFORMED);
        assert_non_null(strstr(why.text, "too early"));
    }
    buf_byte(&nar, 0);
    assert_int_equal(parse(span_buf(&nar), &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "bytes follow"));
    assert_int_equal(parse_cut(span_buf(&nar), nar.len - 1, &why), ERR_MALFORMED);
    buf_free(&nar);
}

/* Any altered byte: accepted only where it lies in a file, a name or a target, and judged alike however it is cut. */
static void altered(void **state)
{
    struct buf nar = BUF_EMPTY;
    struct why why;
    size_t accepted = 0;
    (void)state;
    put_tree(&nar);
    for (size_t at = 0; at < nar.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            nar.data[at] ^= (uint8_t)(1u << bit);
            enum err whole = parse(span_buf(&nar), &why);
            assert_int_equal(parse_cut(span_buf(&nar), at, &why), whole);
            assert_int_equal(parse_cut(span_buf(&nar), at + 1, &why), whole);
            assert_int_equal(parse_bytewise(span_buf(&nar)), whole);
            accepted += whole == OK;
            nar.data[at] ^= (uint8_t)(1u << bit);
        }
    /* Every bit of the 41 bytes of contents and the 12 of the target (none makes a NUL), and some of the names'. */
    assert_in_range(accepted, 8 * (41 + 12) + 1, 8 * (41 + 12 + 18));
    buf_free(&nar);
}

static enum err entries(const char *const *names, const size_t *lens, size_t n, struct why *why)
{
    struct buf nar = BUF_EMPTY;
    nar_put_start(&nar);
    nar_put_directory_start(&nar);
    for (size_t i = 0; i < n; i++) {
        nar_put_entry_start(&nar, span_of(names[i], lens == NULL ? strlen(names[i]) : lens[i]));
        nar_put_symlink(&nar, span_str("x"));
        nar_put_entry_end(&nar);
    }
    nar_put_directory_end(&nar);
    enum err err = parse(span_buf(&nar), why);
    buf_free(&nar);
    return err;
}

static void names(void **state)
{
    static char longest[NAR_NAME_BYTES_MAX + 1];
    static const struct {
        const char *names[3];
        const char *why; /* NULL: accepted */
    } cases[] = {
        { { "A", "a", "b" }, NULL },
        { { "a", "a-", "a.b" }, NULL },
        { { "a", "z", "\xc3\xa4" }, NULL }, /* as unsigned bytes */
        { { "...", "..a", "a" }, NULL },
        { { "b", "a", "c" }, "not sorted" },
        { { "a", "a.b", "a-" }, "not sorted" },
        { { "\xc3\xa4", "z", "zz" }, "not sorted" },
        { { "a", "b", "b" }, "twice" },
        { { ".", "a", "b" }, "an entry's name" },
        { { "..", "a", "b" }, "an entry's name" },
        { { "", "a", "b" }, "an entry's name" },
        { { "a", "b/c", "d" }, "an entry's name" },
    };
    static const char *const nul[] = { "a\0b" };
    static const size_t nul_len[] = { 3 };
    struct why why = { "" };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(entries(cases[i].names, NULL, 3, &why), cases[i].why == NULL ? OK : ERR_MALFORMED);
        if (cases[i].why != NULL)
            assert_non_null(strstr(why.text, cases[i].why));
    }
    assert_int_equal(entries(nul, nul_len, 1, &why), ERR_MALFORMED);
    memset(longest, 'n', sizeof longest);
    const char *const one[] = { longest };
    assert_int_equal(entries(one, &(size_t){ NAR_NAME_BYTES_MAX }, 1, &why), OK);
    assert_int_equal(entries(one, &(size_t){ NAR_NAME_BYTES_MAX + 1 }, 1, &why), ERR_MALFORMED);
}

static void targets(void **state)
{
    static char longest[NAR_TARGET_BYTES_MAX + 1];
    struct why why;
    (void)state;
    memset(longest, 't', sizeof longest);
    for (size_t len = 0; len <= sizeof longest; len++) {
        struct buf nar = BUF_EMPTY;
        nar_put_start(&nar);
        nar_put_symlink(&nar, span_of(longest, len));
        assert_int_equal(parse(span_buf(&nar), &why), len > 0 && len <= NAR_TARGET_BYTES_MAX ? OK : ERR_MALFORMED);
        buf_free(&nar);
    }
}

static enum err nested(size_t depth, struct why *why)
{
    struct buf nar = BUF_EMPTY;
    nar_put_start(&nar);
    for (size_t i = 1; i < depth; i++) {
        nar_put_directory_start(&nar);
        nar_put_entry_start(&nar, span_str("d"));
    }
    nar_put_directory_start(&nar);
    nar_put_directory_end(&nar);
    for (size_t i = 1; i < depth; i++) {
        nar_put_entry_end(&nar);
        nar_put_directory_end(&nar);
    }
    enum err err = parse(span_buf(&nar), why);
    buf_free(&nar);
    return err;
}

static void depth(void **state)
{
    struct why why;
    (void)state;
    assert_int_equal(nested(1, &why), OK);
    assert_int_equal(nested(NAR_DEPTH_MAX, &why), OK);
    assert_int_equal(nested(NAR_DEPTH_MAX + 1, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "too deep"));
    assert_int_equal(nested(200000, &why), ERR_MALFORMED);
}

/* A length that promises more than comes is believed no further than the bytes that come. */
static void lengths(void **state)
{
    static const uint64_t sizes[] = { 1, 8, 1 << 20, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf nar = BUF_EMPTY;
        nar_put_start(&nar);
        nar_put_contents_start(&nar, false, sizes[i]);
        assert_int_equal(parse(span_buf(&nar), &why), ERR_MALFORMED);
        assert_non_null(strstr(why.text, sizes[i] > INT64_MAX ? "longer than what may stand there" : "too early"));
        buf_free(&nar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere), cmocka_unit_test(altered), cmocka_unit_test(names),
        cmocka_unit_test(targets),      cmocka_unit_test(depth),   cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
