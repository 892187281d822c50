/* What a message may hold, whatever it quotes: no control character, and nothing that is no UTF-8. */
#include "tests/unit/support.h"

#include "lib/why.h"

static void says(const char *quoted, const char *wanted)
{
    struct why why;
    assert_int_equal(fail(&why, ERR_REFUSED, "%s", quoted), ERR_REFUSED);
    assert_string_equal(why.text, wanted);
    assert_int_equal(fail_in(&why, ERR_ENV, "%s", quoted), ERR_ENV);
    assert_true(span_starts(span_str(why.text), wanted) && span_ends(span_str(why.text), wanted));
}

static void test_quoted(void **state)
{
    (void)state;
    says("plain", "plain");
    says("", "");
    says("\xe2\x80\xa6 and \xf0\x9f\x8c\xb1", "\xe2\x80\xa6 and \xf0\x9f\x8c\xb1");
    says("a\nb\x7f\x1b[2J", "a?b??[2J");
    says("a\xc2\x9b"
         "2Jb",
         "a??2Jb");
    says("\xff\xfe store", "?? store");
    says("cut \xe2\x80", "cut ??");
    says("\xc0\xaf\xed\xa0\x80", "?????");
}

/* A text that is too long is cut, and not in a character. */
static void test_long(void **state)
{
    struct why why;
    char text[2 * sizeof why.text] = "";
    (void)state;
    for (size_t before = 0; before < 3; before++) {
        size_t len = before;
        memset(text, 'x', before);
        for (; len + 3 < sizeof text; len += 3)
            memcpy(text + len, "\xe2\x80\xa6", 4);
        fail(&why, OK, "%s", text);
        assert_int_equal(strlen(why.text), sizeof why.text - 1);
        assert_true(span_utf8(span_str(why.text)));
        fail_in(&why, OK, "somewhere");
        assert_int_equal(strlen(why.text), sizeof why.text - 1);
        assert_true(span_utf8(span_str(why.text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_quoted), cmocka_unit_test(test_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
