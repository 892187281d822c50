#include "tests/unit/support.h"

#include <pthread.h>

#include "lib/sys/key.h"
#include "lib/sys/rate.h"

static struct rate *rate_of(uint64_t per_s, uint64_t burst)
{
    struct rate *rate;
    struct why why;
    assert_int_equal(key_system_start(&why), OK);
    assert_int_equal(rate_new(&rate, per_s, burst, &why), OK);
    return rate;
}

static struct span numbered(uint64_t *number)
{
    return span_of(number, sizeof *number);
}

static void holds_in_the_long_run(void **state)
{
    (void)state;
    struct rate *rate = rate_of(10, 5);
    struct span key = span_str("builder");
    uint64_t now_us = 1000000000, taken = 0;
    for (unsigned ms = 0; ms < 10000; ms++, now_us += 1000)
        while (rate_wait_ms(rate, key, now_us) == 0) {
            rate_take(rate, key, 1, now_us);
            taken++;
        }
    assert_in_range(taken, 104, 106); /* a burst of 5, and ten seconds of 10 */
    assert_int_equal(rate_wait_ms(rate, span_str("another"), now_us), 0);
    rate_free(rate);
}

static void lets_debts_be_paid_off(void **state)
{
    (void)state;
    struct rate *rate = rate_of(10, 5);
    struct span key = span_str("builder");
    uint64_t now_us = 1000000000;
    /* More at once than the burst is taken whole, and then waited for. */
    rate_take(rate, key, 100, now_us);
    assert_in_range(rate_wait_ms(rate, key, now_us), 9500, 9502);
    assert_in_range(rate_wait_ms(rate, key, now_us + 9400000), 100, 102);
    assert_int_equal(rate_wait_ms(rate, key, now_us + 9510000), 0);
    /* Nothing is saved up beyond the burst. */
    now_us += 1000000000;
    rate_take(rate, key, 5, now_us);
    assert_int_not_equal(rate_wait_ms(rate, key, now_us), 0);
    rate_free(rate);
}

/* Asking takes nothing: who forges a builder's requests costs him nothing. */
static void asking_is_free(void **state)
{
    (void)state;
    struct rate *rate = rate_of(1, 1);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(rate_wait_ms(rate, span_str("builder"), 1000000000), 0);
    rate_take(rate, span_str("builder"), 1, 1000000000);
    assert_int_not_equal(rate_wait_ms(rate, span_str("builder"), 1000000000), 0);
    rate_free(rate);
}

/* A flood of keys pushes out those that owe least, and each other; who owes much is still known. */
static void remembers_who_owes_much(void **state)
{
    (void)state;
    struct rate *rate = rate_of(10, 5);
    uint64_t now_us = 1000000000, known = 0;
    rate_take(rate, span_str("builder"), 1000, now_us);
    for (uint64_t i = 0; i < 1000000; i++)
        rate_take(rate, numbered(&i), 6, now_us);
    assert_int_not_equal(rate_wait_ms(rate, span_str("builder"), now_us), 0);
    for (uint64_t i = 0; i < 1000000; i++)
        known += rate_wait_ms(rate, numbered(&i), now_us) > 0;
    assert_in_range(known, 1000, 40000);
    rate_free(rate);
}

static void *take_many(void *ctx)
{
    for (uint64_t i = 0; i < 20000; i++)
        rate_take(ctx, span_str("builder"), 1, 1000000000);
    return NULL;
}

static void loses_nothing_between_threads(void **state)
{
    (void)state;
    struct rate *rate = rate_of(1000, 1);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_many, rate);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(rate_wait_ms(rate, span_str("builder"), 1000000000), 79990, 80000);
    rate_free(rate);
}

/* A day's allowance, as a log has it with the witness. */
static void an_allowance_is_for_a_time(void **state)
{
    const uint64_t hour_us = 3600000000u, start_us = 1000000;
    struct allowance day = allowance_of(24, 24 * hour_us), one = allowance_of(1, 24 * hour_us);
    uint64_t clear_us = 0;
    (void)state;
    for (int i = 0; i < 24; i++) {
        assert_int_equal(allowance_wait_ms(&day, clear_us, start_us), 0);
        allowance_take(&day, &clear_us, 1, start_us);
    }
    assert_int_equal(allowance_wait_ms(&day, clear_us, start_us), 3600000);
    assert_int_not_equal(allowance_wait_ms(&day, clear_us, start_us + hour_us - 1000), 0);
    assert_int_equal(allowance_wait_ms(&day, clear_us, start_us + hour_us), 0);
    /* However long nothing was taken: as much as fits. */
    for (int i = 0; i < 24; i++)
        allowance_take(&day, &clear_us, 1, start_us + 1200 * hour_us);
    assert_int_not_equal(allowance_wait_ms(&day, clear_us, start_us + 1200 * hour_us), 0);
    /* A clock that stands still or goes back gives nothing. */
    clear_us = 0;
    assert_int_equal(allowance_wait_ms(&one, clear_us, 5000), 0);
    allowance_take(&one, &clear_us, 1, 5000);
    assert_int_not_equal(allowance_wait_ms(&one, clear_us, 4000), 0);
    assert_int_not_equal(allowance_wait_ms(&one, clear_us, 5000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_in_the_long_run),
        cmocka_unit_test(lets_debts_be_paid_off),
        cmocka_unit_test(asking_is_free),
        cmocka_unit_test(remembers_who_owes_much),
        cmocka_unit_test(loses_nothing_between_threads),
        cmocka_unit_test(an_allowance_is_for_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
