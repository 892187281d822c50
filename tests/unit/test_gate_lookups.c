/* What the gate keeps of a log's answers, and who waits for one: client/gate_lookups.c over a log and a clock of its own. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/gate_lookups.h"
#include "client/look_up.h"
#include "client/proofs.h"
#include "client/proofs_trim.h"
#include "lib/storepath.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"

enum { KNOWN_MAX = 65536, SOON_MS = 10000 };

static struct policy_log log_line;
static const struct policy policy = { .logs = &log_line, .logs_n = 1 };
static const struct client_config config = { 0 };
static atomic_bool stopping, short_of_memory;
static struct gate_lookups *lookups;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned allowed; /* so many requests are answered; the next one waits */
static bool cut;         /* an answer is about the first hash part, and then the log fails, */
static bool missing;     /* or of the first one not all can be had */
static size_t asked_len; /* of the last question's hash parts */
static _Atomic uint64_t jumped_ms;

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + jumped_ms * 1000;
}

void report_why(enum report_level level, const char *event, const struct why *why)
{
    (void)level, (void)event, (void)why;
}

#if !SANITIZED
void *__libc_realloc(void *old, size_t size);

void *realloc(void *old, size_t size)
{
    return short_of_memory ? NULL : __libc_realloc(old, size);
}
#endif

enum err client_trust_load(const struct client_config *of, struct trust *out, struct why *why)
{
    (void)of, (void)why;
    *out = (struct trust){ 0 };
    return OK;
}

void proofs_builders(struct buf *out, const struct trust *trust)
{
    (void)out, (void)trust;
}

bool proofs_log_url(const struct client_config *of, const struct policy *by, size_t log, struct span *url)
{
    (void)of, (void)by, (void)log;
    *url = span_str("http://log.example");
    return true;
}

size_t proofs_room(size_t logs_n)
{
    return logs_n;
}

/* Of every path the log has something. */
enum err proofs_trim(struct buf *bundles, struct span builders, size_t bytes_max, struct why *why)
{
    (void)builders, (void)bytes_max;
    buf_str(bundles, "proof");
    return buf_done(bundles, why);
}

enum err look_up_many(struct http_client *client, const struct client_config *of, const struct policy *by, size_t log,
                      const struct proofs_asked *asked, const struct proofs_taker *taker, struct why *why)
{
    (void)client, (void)of, (void)by, (void)log;
    pthread_mutex_lock(&lock);
    while (allowed == 0)
        pthread_cond_wait(&changed, &lock);
    allowed--;
    asked_len = asked->hash_parts.len;
    pthread_mutex_unlock(&lock);
    struct span answered = asked->hash_parts;
    if (cut)
        answered.len = HASH_PART_LEN + 1;
    if (missing) {
        struct why reason;
        fail(&reason, ERR_ENV, "not complete");
        taker->missed(taker->ctx, span_cut(answered, 0, HASH_PART_LEN), &reason);
        answered = span_cut(answered, HASH_PART_LEN + 1, answered.len - HASH_PART_LEN - 1);
    }
    enum err err = taker->take(taker->ctx, answered, span_str(""), why);
    return cut ? fail(why, ERR_ENV, "the log is silent") : err;
}

static void allow(unsigned n)
{
    pthread_mutex_lock(&lock);
    allowed = n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static struct span part(unsigned number, char text[HASH_PART_LEN + 1])
{
    snprintf(text, HASH_PART_LEN + 1, "%032u", number); /* all begin alike: their names are the caches' choice */
    return span_str(text);
}

static void want(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char text[HASH_PART_LEN + 1];
        gate_lookups_want(lookups, (struct span[]){ part(i, text) }, 1);
    }
}

/* Somebody who asks for a hash part, and what came of it. */
struct asker {
    pthread_t thread;
    unsigned number;
    struct buf bundles;
    struct why why;
    enum err err;
    atomic_bool ended;
};

static void *run(void *ctx)
{
    struct asker *asker = ctx;
    char text[HASH_PART_LEN + 1];
    asker->err = gate_lookups_ask(lookups, 0, part(asker->number, text), true, &asker->bundles, &asker->why);
    asker->ended = true;
    return NULL;
}

/* Is it answered soon, while the log answers no more than it may? In the end it is let go. */
static bool is_answered(struct asker *asker)
{
    for (unsigned i = 0; i < SOON_MS && !asker->ended; i++)
        usleep(1000);
    bool answered = asker->ended;
    allow(100);
    pthread_join(asker->thread, NULL);
    answered = answered && asker->err == OK && span_is(span_buf(&asker->bundles), "proof");
    buf_free(&asker->bundles);
    return answered;
}

static void ask(struct asker *asker, unsigned number)
{
    *asker = (struct asker){ .number = number };
    assert_int_equal(pthread_create(&asker->thread, NULL, run, asker), 0);
}

static int set_up(void **state)
{
    struct why why;
    (void)state;
    alarm(60); /* whoever waits for ever */
    allowed = 0;
    cut = missing = false;
    return gate_lookups_new(&lookups, &config, &policy, &stopping, &why) == OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    allow(100);
    gate_lookups_free(lookups);
    return 0;
}

/* An answer that is there is given to who waits for it, however much else is wanted; nor does it take long to find. */
static void test_full(void **state)
{
    struct asker asker;
    (void)state;
    for (unsigned times = 0; times < 5; times++)
        want(0, KNOWN_MAX - 1);
    want(KNOWN_MAX - 1, KNOWN_MAX);
    ask(&asker, 0); /* in the first question, however soon that went out */
    allow(1);
    assert_true(is_answered(&asker));
}

/* It is good also where the log fell silent after it. */
static void test_silent(void **state)
{
    struct asker asker;
    (void)state;
    cut = true;
    want(0, 2);
    ask(&asker, 1);
    allow(1);
    assert_false(is_answered(&asker)); /* it is not about this one */
    assert_string_equal(asker.why.text, "the log is silent");
    allow(0);
    ask(&asker, 0);
    assert_true(is_answered(&asker));
}

/* A path of which the log does not give all is not answered, and asked for anew soon; the others are, and the log is not left
 * alone. */
static void test_missing(void **state)
{
    struct asker askers[2], again;
    char text[HASH_PART_LEN + 1], other[HASH_PART_LEN + 1];
    struct buf bundles = BUF_EMPTY;
    struct why why;
    (void)state;
    missing = true;
    gate_lookups_want(lookups, (struct span[]){ part(0, text), part(1, other) }, 2); /* in one question */
    ask(&askers[1], 1);
    allow(1);
    assert_true(is_answered(&askers[1]));
    allow(0);
    missing = false;
    ask(&askers[0], 0);
    assert_false(is_answered(&askers[0]));
    assert_int_equal(askers[0].err, ERR_ENV);
    assert_string_equal(askers[0].why.text, "not complete");
    assert_int_equal(gate_lookups_ask(lookups, 0, part(0, text), false, &bundles, &why), OK);
    assert_int_equal(bundles.len, 0);
    ask(&again, 2);
    assert_true(is_answered(&again)); /* the log is asked */
    jumped_ms += 5000;
    want(0, 1); /* not ahead of the questions */
    ask(&again, 3);
    assert_true(is_answered(&again));
    assert_int_equal(asked_len, HASH_PART_LEN + 1);
    gate_lookups_ask(lookups, 0, part(0, text), false, &bundles, &why);
    assert_int_equal(bundles.len, 0);
    ask(&again, 0);
    assert_true(is_answered(&again));
}

/* Where memory was short, the next one who asks is answered. */
static void test_no_memory(void **state)
{
    struct asker asker;
    (void)state;
    if (SANITIZED) /* memory is theirs */
        skip();
    short_of_memory = true;
    want(0, 1);
    usleep(100000);
    short_of_memory = false;
    jumped_ms += 11000; /* a log that gave no answer is left alone so long */
    allow(1);
    ask(&asker, 0);
    assert_true(is_answered(&asker));
}

static void *let_go(void *ctx)
{
    for (unsigned i = 0; i < SOON_MS && !*(atomic_bool *)ctx; i++)
        usleep(1000);
    allow(1);
    return NULL;
}

/* Who can do without an answer does not wait for a log that is slow. */
static void test_slow(void **state)
{
    char text[HASH_PART_LEN + 1];
    struct buf bundles = BUF_EMPTY;
    struct why why;
    pthread_t thread;
    atomic_bool returned = false;
    (void)state;
    want(0, 1);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &returned), 0);
    assert_int_equal(gate_lookups_ask(lookups, 0, part(0, text), false, &bundles, &why), OK);
    returned = true;
    assert_int_equal(bundles.len, 0);
    pthread_join(thread, NULL);
    assert_int_equal(gate_lookups_ask(lookups, 0, part(0, text), true, &bundles, &why), OK);
    assert_true(span_is(span_buf(&bundles), "proof"));
    buf_clear(&bundles);
    assert_int_equal(gate_lookups_ask(lookups, 0, part(0, text), false, &bundles, &why), OK);
    assert_true(span_is(span_buf(&bundles), "proof"));
    buf_clear(&bundles);
    assert_int_equal(gate_lookups_ask(lookups, 0, part(1, text), false, &bundles, &why), OK);
    assert_int_equal(bundles.len, 0);
    buf_free(&bundles);
}

/* Nor does who cannot wait for ever: what is asked for is one of many, and a log may give each by itself, slowly. */
static void test_too_slow(void **state)
{
    struct asker asker;
    (void)state;
    want(0, 1);
    jumped_ms -= 3600 * 1000; /* the longest wait is over by the clock of the system */
    ask(&asker, 0);
    assert_false(is_answered(&asker));
    jumped_ms += 3600 * 1000;
    assert_int_equal(asker.err, ERR_ENV);
    assert_string_equal(asker.why.text, "the log takes more than 120 s to answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
