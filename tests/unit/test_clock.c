/* Times as people read them. */
#include "tests/unit/support.h"

#include "lib/sys/clock.h"

static void texts(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    assert_string_equal(clock_text(1, text), "1970-01-01T00:00:01Z");
    assert_string_equal(clock_text(1795800605, text), "2026-11-27T17:30:05Z");
    assert_string_equal(clock_text(0, text), "");
    assert_string_equal(clock_text(INT64_MAX, text), "");
    assert_ptr_equal(clock_text(1, text), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
