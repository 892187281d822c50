#include "tests/unit/support.h"

#include "client/delivery.h"
#include "lib/sys/clock.h"
#include "lib/sys/key.h"

static const struct why reason = { "log.example answered 503" };

/* Two logs of a policy. */
struct world {
    struct delivery delivery;
    struct policy_log logs[2];
};

static void begin(struct world *world)
{
    struct why why;
    *world = (struct world){ .logs = { { .url = span_str("http://one.example/") }, { .url = span_str("http://two.example") } } };
    world->delivery.policy.logs = world->logs;
    world->delivery.policy.logs_n = 2;
    pthread_mutex_init(&world->delivery.lock, NULL);
    assert_int_equal(key_system_start(&why), OK);
    assert_int_equal(delivery_logs_open(&world->delivery, &why), OK);
    assert_int_equal(world->delivery.logs_n, 2);
}

static void end(struct world *world)
{
    free(world->delivery.logs);
    pthread_mutex_destroy(&world->delivery.lock);
}

/* The log fails once more, as though its time had come. How long it is left alone, a little less than it was said. */
static uint64_t failed_ms(struct world *world, uint64_t asked_ms)
{
    struct delivery_log *log = &world->delivery.logs[0];
    log->not_before_ms = 0;
    uint64_t before_ms = clock_monotonic_ms();
    delivery_log_failed(&world->delivery, 0, asked_ms, &reason);
    assert_true(log->not_before_ms >= before_ms);
    /* However slow this machine is, the time that passed in between is known. */
    uint64_t passed_ms = clock_monotonic_ms() - before_ms, ms = log->not_before_ms - before_ms;
    return ms > passed_ms ? ms - passed_ms : 0;
}

static void backs_off_further_and_further(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    uint64_t backoff_ms = BACKOFF_FIRST_MS;
    for (int i = 0; i < 20; i++) {
        failed_ms(&world, 0);
        assert_int_equal(world.delivery.logs[0].backoff_ms, backoff_ms);
        backoff_ms = 2 * backoff_ms < BACKOFF_MAX_MS ? 2 * backoff_ms : BACKOFF_MAX_MS;
    }
    assert_int_equal(backoff_ms, BACKOFF_MAX_MS);
    assert_true(delivery_logs_due_ms(&world.delivery) == 0); /* the other one */
    assert_false(delivery_log_take(&world.delivery, 0));
    assert_true(delivery_log_take(&world.delivery, 1));
    delivery_log_worked(&world.delivery, 0);
    assert_true(delivery_log_take(&world.delivery, 0));
    failed_ms(&world, 0);
    assert_int_equal(world.delivery.logs[0].backoff_ms, BACKOFF_FIRST_MS);
    end(&world);
}

static void many_builders_do_not_come_at_once(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    unsigned in_quarter[4] = { 0 };
    for (int i = 0; i < 20; i++)
        failed_ms(&world, 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t ms = failed_ms(&world, 0);
        assert_true(ms <= BACKOFF_MAX_MS + BACKOFF_MAX_MS / 2);
        unsigned quarter = ms < BACKOFF_MAX_MS / 2 ? 0 : (unsigned)((ms - BACKOFF_MAX_MS / 2) * 4 / BACKOFF_MAX_MS);
        in_quarter[quarter < 4 ? quarter : 3]++;
    }
    for (int i = 0; i < 4; i++)
        assert_true(in_quarter[i] > 150); /* of 250; less comes once in 10^11 runs */
    end(&world);
}

static void does_as_a_log_asks(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    uint64_t before_ms = clock_monotonic_ms();
    failed_ms(&world, 3600000);
    assert_true(world.delivery.logs[0].not_before_ms >= before_ms + 3600000);
    /* Others' answers that come meanwhile change nothing, but for one that asks for more. */
    uint64_t backoff_ms = world.delivery.logs[0].backoff_ms, until_ms = world.delivery.logs[0].not_before_ms;
    delivery_log_failed(&world.delivery, 0, 0, &reason);
    assert_int_equal(world.delivery.logs[0].backoff_ms, backoff_ms);
    assert_int_equal(world.delivery.logs[0].not_before_ms, until_ms);
    delivery_log_failed(&world.delivery, 0, 7200000, &reason);
    assert_true(world.delivery.logs[0].not_before_ms >= before_ms + 7200000);
    end(&world);
}

static void one_at_a_time_finds_out(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    assert_true(delivery_log_take(&world.delivery, 0) && delivery_log_take(&world.delivery, 0));
    failed_ms(&world, 0);
    world.delivery.logs[0].not_before_ms = 0;
    assert_true(delivery_log_take(&world.delivery, 0));
    assert_false(delivery_log_take(&world.delivery, 0));
    delivery_log_worked(&world.delivery, 0);
    assert_true(delivery_log_take(&world.delivery, 0) && delivery_log_take(&world.delivery, 0));
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backs_off_further_and_further),
        cmocka_unit_test(many_builders_do_not_come_at_once),
        cmocka_unit_test(does_as_a_log_asks),
        cmocka_unit_test(one_at_a_time_finds_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
