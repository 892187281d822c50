/* A log's day with the witness. Time is given, so nothing here waits. */
#include "tests/unit/support.h"

#include "witness/quota.h"

enum { DAY = 86400000 };

static void a_log_has_its_day(void **state)
{
    struct quota quota = { 0 };
    unsigned wait_s = 0;
    (void)state;
    for (int i = 0; i < 24; i++) {
        assert_true(quota_allows(&quota, true, 24, 1000, &wait_s));
        quota_take(&quota, true, 24, 1000);
    }
    assert_false(quota_allows(&quota, true, 24, 1000, &wait_s));
    assert_int_equal(wait_s, 3601);
    assert_false(quota_allows(&quota, true, 24, 1000 + DAY / 24 - 1000, &wait_s));
    assert_true(quota_allows(&quota, true, 24, 1000 + DAY / 24 + 1, &wait_s));
    /* However long it was silent: one day's. */
    for (int i = 0; i < 24; i++)
        quota_take(&quota, true, 24, 1000 + 50ull * DAY);
    assert_false(quota_allows(&quota, true, 24, 1000 + 50ull * DAY, &wait_s));
}

/* Anybody can repeat a log's head: that must not keep the log's next one out. */
static void repeats_do_not_use_up_growth(void **state)
{
    struct quota quota = { 0 };
    unsigned wait_s = 0;
    (void)state;
    for (int i = 0; i < 1000; i++)
        quota_take(&quota, false, 100, 5);
    assert_false(quota_allows(&quota, false, 100, 5, &wait_s));
    assert_true(quota_allows(&quota, true, 100, 5, &wait_s));
}

/* A clock that stands still or goes back gives nothing, and takes nothing. */
static void time_may_stand(void **state)
{
    struct quota quota = { 0 };
    unsigned wait_s = 0;
    (void)state;
    quota_take(&quota, true, 1, 5000);
    assert_false(quota_allows(&quota, true, 1, 4000, &wait_s));
    assert_false(quota_allows(&quota, true, 1, 5000, &wait_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_has_its_day),
        cmocka_unit_test(repeats_do_not_use_up_growth),
        cmocka_unit_test(time_may_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
