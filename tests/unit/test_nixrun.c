/* A program that is run and read: what it says is bounded, and so is its time, whatever it does with its output. */
#include "tests/unit/support.h"

#include "lib/sys/clock.h"
#include "lib/sys/nixrun.h"

enum { LONG_MS = 60000, SHORT_MS = 200, BYTES_MAX = 1 << 20 };

static struct buf out;
static struct why why;

static enum err run(const char *script, unsigned timeout_ms)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    buf_clear(&out);
    return run_and_read(argv, timeout_ms, BYTES_MAX, &out, &why);
}

static void reads(void **state)
{
    (void)state;
    assert_int_equal(run("echo one; echo two >&2; cat; echo three", LONG_MS), OK);
    assert_true(span_is(span_buf(&out), "one\nthree\n"));
    assert_int_equal(run("head -c 1048576 /dev/zero", LONG_MS), OK);
    assert_int_equal(out.len, BYTES_MAX);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const none[] = { "no-such-program-anywhere", NULL };
    assert_int_equal(run_and_read(none, LONG_MS, BYTES_MAX, &out, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "cannot run no-such-program-anywhere"));
    assert_int_equal(run("echo x; exit 3", LONG_MS), ERR_ENV);
    assert_non_null(strstr(why.text, "does not succeed"));
    assert_int_equal(run("kill -TERM $$", LONG_MS), ERR_ENV);
    assert_int_equal(run("cat /dev/zero", LONG_MS), ERR_ENV);
    assert_non_null(strstr(why.text, "more than 1048576 bytes"));
}

/* It is killed: nothing waits for the end that it would have. */
static void does_not_wait(void **state)
{
    (void)state;
    uint64_t started_ms = clock_monotonic_ms();
    assert_int_equal(run("echo x; exec sleep 600", SHORT_MS), ERR_ENV);
    assert_non_null(strstr(why.text, "sh: it gives no answer"));
    /* Whether its output ended before the time did, or not yet: it is not waited for. */
    assert_int_equal(run("echo x; exec >&-; exec sleep 600", SHORT_MS), ERR_ENV);
    assert_non_null(strstr(why.text, "sh: it "));
    assert_true(clock_monotonic_ms() - started_ms < 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads), cmocka_unit_test(refuses), cmocka_unit_test(does_not_wait) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&out);
    return failed;
}
