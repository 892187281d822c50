/* What is gathered of a path from many logs, as they answer: client/gather.c with logs that say what the test wants. */
#include "tests/unit/support.h"

#include <stdio.h>

#include "client/gather.h"
#include "client/look_up.h"

static struct policy_log logs[POLICY_LOGS_MAX];
static struct policy policy = { .logs = logs };
static const struct client_config config = { .log_url = (char *)(uintptr_t)"http://127.0.0.1:9" };
static unsigned asked;

/* client/look_up.h: no log is asked directly here. */
enum err look_up(struct http_client *client, const struct client_config *of, const struct policy *by, size_t log,
                 struct span hash_part, struct span builders, struct buf *bundles, struct why *why)
{
    (void)client, (void)of, (void)by, (void)log, (void)hash_part, (void)builders, (void)bundles;
    return fail(why, ERR_ENV, "not here");
}

/* So many bytes of proofs from each log, from log 0 none where `first_knows` is false. */
static size_t bytes;
static bool first_knows;

static enum err answer(void *ctx, size_t log, struct span hash_part, bool anew, struct buf *bundles, struct why *why)
{
    (void)ctx, (void)hash_part, (void)anew;
    asked++;
    if (log > 0 || first_knows)
        memset(buf_grow(bundles, bytes), 'x', bytes);
    return buf_done(bundles, why);
}

static void gather(struct gathered *gathered, size_t logs_n, bool anew)
{
    const struct gather_asker asker = { answer, NULL };
    struct why why = { "" };
    asked = 0;
    policy.logs_n = logs_n;
    assert_int_equal(gather_logs_by(gathered, &config, &policy, span_str(""), anew, &asker, &why), OK);
}

static void set(size_t each, bool first, bool one_name)
{
    static char names[POLICY_LOGS_MAX][32];
    bytes = each;
    first_knows = first;
    for (size_t i = 0; i < POLICY_LOGS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "log-%zu.example", one_name ? 0 : i);
        logs[i].key.name = span_str(names[i]);
    }
}

/* Two logs of a policy may have one name, with a key each. */
static void test_one_name(void **state)
{
    struct gathered gathered = { 0 };
    (void)state;
    set(10, true, true);
    gather(&gathered, 2, true);
    assert_int_equal(asked, 2);
    assert_int_equal(gathered.n, 2);
    assert_true(gathered.looked_up);
    gathered_free(&gathered);
    set(10, false, true);
    gather(&gathered, 2, false); /* what is known: of the first log nothing */
    assert_int_equal(gathered.n, 1);
    assert_false(gathered.looked_up);
    gather(&gathered, 2, true); /* which is the one that is asked then */
    assert_int_equal(asked, 1);
    assert_int_equal(gathered.n, 1);
    assert_true(gathered.looked_up);
    gathered_free(&gathered);
}

/* After what the logs are known to say, be they ever so many, comes the sidecar. */
static void test_many_logs(void **state)
{
    struct gathered gathered = { .sidecar_asked = true };
    struct why why = { "" };
    (void)state;
    set(10, true, false);
    gather(&gathered, GATHER_SOURCES_MAX + 1, false);
    assert_false(gathered.looked_up);
    buf_str(&gathered.sidecar, "proofs");
    assert_int_equal(gather_sidecar(&gathered, NULL, "cache", span_str(""), &why), OK);
    assert_true(gathered.has_sidecar);
    gather(&gathered, GATHER_SOURCES_MAX + 1, true);
    assert_int_equal(gathered.n, GATHER_SOURCES_MAX);
    assert_false(gathered.looked_up);
    gathered_free(&gathered);
}

/* A log that says too much is a trouble where it is asked for need, and told once. */
static void test_too_much(void **state)
{
    struct gathered gathered = { 0 };
    (void)state;
    set(GATHER_SOURCE_BYTES_MAX + 1, true, false);
    gather(&gathered, 1, false);
    assert_int_equal(gathered.n, 0);
    assert_int_equal(gathered.troubles.len, 0);
    assert_false(gathered.looked_up);
    gather(&gathered, 1, true);
    assert_int_equal(gathered.n, 0);
    assert_true(gathered.troubles.len > 0);
    assert_false(gathered.looked_up);
    gathered_free(&gathered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_name),
        cmocka_unit_test(test_many_logs),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
