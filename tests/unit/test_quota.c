/* The witness's limits: a log's day, and addresses. Time is given, so nothing here waits. */
#include "tests/unit/support.h"

#include "witness/limits.h"
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

static unsigned taken(struct addresses *addresses, const char *address, unsigned tries, uint64_t now_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++)
        n += addresses_take(addresses, address, 1, now_ms);
    return n;
}

static void addresses_are_kept_apart(void **state)
{
    struct addresses *addresses = addresses_new(10);
    (void)state;
    assert_non_null(addresses);
    assert_int_equal(taken(addresses, "192.0.2.1", 50, 1), 20);
    assert_int_equal(taken(addresses, "192.0.2.2", 50, 1), 20);
    assert_int_equal(taken(addresses, "::ffff:192.0.2.2", 50, 1), 0);
    assert_int_equal(taken(addresses, "192.0.2.1", 50, 501), 5);
    /* A provider gives each customer 64 bits. */
    assert_int_equal(taken(addresses, "2001:db8:0:1::1", 50, 1), 20);
    assert_int_equal(taken(addresses, "2001:db8:0:1:ffff::2", 50, 1), 0);
    assert_int_equal(taken(addresses, "2001:db8:0:2::1", 50, 1), 20);
    assert_int_equal(taken(addresses, "no address", 50, 1), 20);
    assert_int_equal(taken(addresses, "another", 50, 1), 0);
    assert_false(addresses_take(addresses, "192.0.2.3", PAGE_COST, 1));
    assert_true(addresses_take(addresses, "192.0.2.3", 20, 1));
    addresses_free(addresses);
    addresses = addresses_new(0);
    assert_non_null(addresses);
    assert_int_equal(taken(addresses, "192.0.2.1", 50, 1), 50);
    addresses_free(addresses);
}

/* However many ask, memory is what it is, and one that floods stays known while others come and go. */
static void many_addresses(void **state)
{
    struct addresses *addresses = addresses_new(10);
    unsigned flood = 0;
    char text[64];
    (void)state;
    assert_non_null(addresses);
    for (unsigned i = 0; i < 4 * ADDRESSES_MAX; i++) {
        snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        assert_true(addresses_take(addresses, text, 1, 1 + i / 100));
        flood += taken(addresses, "192.0.2.1", 2, 1 + i / 100);
    }
    /* 20 at once, 10 a second since. */
    assert_true(flood <= 20 + 4 * ADDRESSES_MAX / 100 / 100 + 1);
    addresses_free(addresses);
}

static void loopback(void **state)
{
    (void)state;
    assert_true(address_is_loopback("127.0.0.1") && address_is_loopback("127.9.9.9") && address_is_loopback("::1"));
    assert_true(address_is_loopback("::ffff:127.0.0.1"));
    assert_false(address_is_loopback("128.0.0.1") || address_is_loopback("10.0.0.1") || address_is_loopback("::2"));
    assert_false(address_is_loopback("") || address_is_loopback("127.0.0.1.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_has_its_day), cmocka_unit_test(repeats_do_not_use_up_growth),
        cmocka_unit_test(time_may_stand),    cmocka_unit_test(addresses_are_kept_apart),
        cmocka_unit_test(many_addresses),    cmocka_unit_test(loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
