#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/config.h"

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
        { "name x\r\n", "test.conf line 1: the control character 0x0d: only tab and newline are allowed (tlog-policy, \"Character "
                        "set\"); end lines in LF" },
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_lines),
        cmocka_unit_test(wrong_lines),
        cmocka_unit_test(globs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
