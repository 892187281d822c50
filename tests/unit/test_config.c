#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/config.h"
#include "lib/json.h"

struct values {
    char *name;
    uint64_t count;
    size_t items;
};

static enum err take_item(void *ctx, const struct config_key *key, struct span value, struct why *why)
{
    (void)key;
    if (span_is(value, "bad"))
        return fail(why, ERR_MALFORMED, "no such item");
    ((struct values *)ctx)->items++;
    return OK;
}

static const struct config_key keys[] = {
    { "name", false, config_take_str, offsetof(struct values, name) },
    { "count", false, config_take_count, offsetof(struct values, count) },
    { "item", true, take_item, 0 },
};

static enum err parse(const char *text, struct values *values, struct why *why)
{
    return config_parse(span_str(text), "test.conf", keys, 3, values, why);
}

static void right_lines(void **state)
{
    struct values values = { 0 };
    struct why why = { "" };
    (void)state;
    assert_int_equal(parse("# a comment\n\n \t name \t a  name with spaces \ncount 42\nitem x\nitem y", &values, &why), OK);
    assert_string_equal(values.name, "a  name with spaces");
    assert_int_equal(values.count, 42);
    assert_int_equal(values.items, 2);
    free(values.name);
}

static void wrong_lines(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "name x\nother y\n", "test.conf line 2: unknown key `other`" },
        { "name x\n\nname y\n", "test.conf line 3: `name` stands on line 1 already" },
        { "count\n", "test.conf line 1: `count` has no value" },
        { "count -1\n", "test.conf line 1: count: -1 is not a whole number" },
        { "count 007\n", "is not a whole number" },
        { "count 99999999999999999999\n", "is not a whole number" },
        { "item bad\n", "test.conf line 1: item: no such item" },
        { "name x\r\n", "test.conf line 1: the control character 0x0d" },
        { "# \x01\n", "control character 0x01" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct values values = { 0 };
        struct why why = { "" };
        assert_int_equal(parse(cases[i].text, &values, &why), ERR_MALFORMED);
        if (strstr(why.text, cases[i].why) == NULL)
            assert_string_equal(why.text, cases[i].why);
        free(values.name);
    }
}

static bool matches(const char *glob, const char *text)
{
    return glob_match(span_str(glob), span_str(text));
}

static void globs(void **state)
{
    struct buf stars = BUF_EMPTY, text = BUF_EMPTY;
    (void)state;
    assert_true(matches("", "") && matches("*", "") && matches("*", "abc") && matches("a*c", "abc") && matches("a?c", "abc"));
    assert_true(matches("*.drv", "x.drv") && matches("a*b*c", "aXbYbZc") && matches("**a**", "bab") && matches("[a]", "[a]"));
    assert_false(matches("", "a") || matches("a", "") || matches("a?c", "ac") || matches("a*c", "abd") ||
                 matches("*.drv", "x.drvs"));
    assert_false(matches("A", "a") || matches("a*b*c", "aXcYb") || matches("?", ""));
    /* Many stars against a long text that does not match: linear in both, not exponential. */
    for (int i = 0; i < 200; i++)
        buf_str(&stars, "*a");
    buf_str(&stars, "b");
    for (int i = 0; i < 20000; i++)
        buf_byte(&text, 'a');
    assert_false(glob_match(span_buf(&stars), span_buf(&text)));
    buf_free(&stars);
    buf_free(&text);
}

static void json_is_strict(void **state)
{
    static const char *const right[] = { "{}", "[1,2]", " {\"a\" : \"b\\n\"} ", "{\"a\":{\"a\":1}}" };
    static const char *const wrong[] = { "",
                                         "{\"a\":1,\"a\":2}",
                                         "{\"a\":1,\"\\u0061\":2}",
                                         "{} {}",
                                         "{,}",
                                         "\"\\u0000\"",
                                         "1e999",
                                         "[\"\xff\"]",
                                         "{\"a\":01}",
                                         "nul",
                                         "'a'" };
    json_t *value;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_int_equal(json_read(span_str(right[i]), "it", &value, &why), OK);
        json_decref(value);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(json_read(span_str(wrong[i]), "it", &value, &why), ERR_MALFORMED);
}

static void json_depth(void **state)
{
    struct buf text = BUF_EMPTY;
    json_t *value;
    struct why why;
    (void)state;
    for (int depth = 31; depth <= 33; depth++) {
        buf_clear(&text);
        for (int i = 0; i < depth; i++)
            buf_byte(&text, '[');
        /* Brackets in strings do not count. */
        buf_str(&text, "\"[[[[\\\"[[[[\"");
        for (int i = 0; i < depth; i++)
            buf_byte(&text, ']');
        enum err err = json_read(span_buf(&text), "it", &value, &why);
        assert_int_equal(err, depth <= 32 ? OK : ERR_MALFORMED);
        if (err == OK)
            json_decref(value);
    }
    buf_free(&text);
}

static void json_members(void **state)
{
    json_t *value;
    struct why why;
    struct span text;
    uint64_t count;
    (void)state;
    assert_int_equal(json_read(span_str("{\"s\":\"x\",\"n\":5,\"r\":5.0,\"m\":-1,\"big\":9007199254740992}"), "it", &value, &why),
                     OK);
    assert_int_equal(json_get_string(value, "here", "s", &text, &why), OK);
    assert_int_equal(json_get_count(value, "here", "n", &count, &why), OK);
    assert_int_equal(count, 5);
    assert_int_equal(json_get_string(value, "here", "n", &text, &why), ERR_MALFORMED);
    assert_string_equal(why.text, "here.n is not a string");
    assert_int_equal(json_get_string(value, "", "x", &text, &why), ERR_MALFORMED);
    assert_string_equal(why.text, "x is missing");
    assert_int_equal(json_get_count(value, "", "r", &count, &why), ERR_MALFORMED);
    assert_int_equal(json_get_count(value, "", "m", &count, &why), ERR_MALFORMED);
    assert_int_equal(json_get_count(value, "", "big", &count, &why), ERR_MALFORMED);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_lines),    cmocka_unit_test(wrong_lines), cmocka_unit_test(globs),
        cmocka_unit_test(json_is_strict), cmocka_unit_test(json_depth),  cmocka_unit_test(json_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
