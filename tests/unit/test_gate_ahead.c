/* What is read ahead, when, and how much of it: client/gate_ahead.c over fetches and a clock of its own. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "client/gate.h"
#include "lib/sys/clock.h"

enum { PATHS = GATE_AHEAD_MAX + 1, NONE = PATHS, SOON_MS = 60000 };

static struct gate gate;
static struct gate_ahead *ahead;
static size_t size; /* of every NAR */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned order[2 * PATHS], begun, ended; /* fetches */
static unsigned failing;                        /* so many of the next ones */
static bool held;
static _Atomic uint64_t jumped_ms;

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + jumped_ms * 1000;
}

static struct gate_path path_of(unsigned number)
{
    struct gate_path path = { .nar_size = size, .until_ms = clock_monotonic_ms() + GATE_VERDICT_S * 1000 };
    snprintf(path.hash_part, sizeof path.hash_part, "%032u", number);
    path.nar_hash.b[0] = 1;
    return path;
}

bool gate_remembers(struct gate *at, struct span hash_part, const struct hash *nar_hash, struct gate_path *out)
{
    uint64_t number;
    assert_ptr_equal(at, &gate);
    while (hash_part.len > 1 && hash_part.data[0] == '0')
        hash_part = span_cut(hash_part, 1, hash_part.len - 1);
    assert_true(span_decimal(hash_part, PATHS, &number));
    *out = path_of((unsigned)number);
    return hash_eq(nar_hash, &out->nar_hash);
}

enum err gate_fetch_nar(struct gate *at, struct gate_path *path, struct buf *whole, struct why *why)
{
    uint64_t number = strtoull(path->hash_part, NULL, 10);
    (void)at;
    pthread_mutex_lock(&lock);
    order[begun++] = (unsigned)number;
    pthread_cond_broadcast(&changed);
    while (held)
        pthread_cond_wait(&changed, &lock);
    bool fails = failing > 0;
    failing -= fails;
    ended++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return fails ? fail(why, ERR_ENV, "cut off") : buf_grow(whole, size) == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static void hold(bool now)
{
    pthread_mutex_lock(&lock);
    held = now;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Until so many were begun or have ended. */
static void until(const unsigned *count, unsigned wanted)
{
    struct timespec last;
    clock_gettime(CLOCK_REALTIME, &last);
    last.tv_sec += SOON_MS / 1000;
    pthread_mutex_lock(&lock);
    while (*count < wanted)
        assert_int_equal(pthread_cond_timedwait(&changed, &lock, &last), 0);
    assert_int_equal(*count, wanted);
    pthread_mutex_unlock(&lock);
}

static void start(size_t nar_size)
{
    struct why why = { "" };
    begun = ended = failing = 0;
    size = nar_size;
    held = false;
    assert_int_equal(gate_ahead_start(&ahead, &gate, &why), OK);
}

static void offer(unsigned from, unsigned to)
{
    for (unsigned number = from; number < to; number++) {
        struct gate_path path = path_of(number);
        gate_ahead_offer(ahead, &path);
    }
}

static bool take(unsigned number)
{
    struct gate_path path = path_of(number);
    struct buf whole = BUF_EMPTY;
    bool taken = gate_ahead_take(ahead, &path, &whole);
    assert_int_equal(whole.len, taken ? size : 0);
    buf_free(&whole);
    return taken;
}

/* What was fetched is there a moment after; take waits for it. */
static void take_ready(unsigned number)
{
    assert_true(take(number));
}

static bool fetched(unsigned number)
{
    for (unsigned i = 0; i < begun; i++)
        if (order[i] == number)
            return true;
    return false;
}

static void fetches_the_newest_first(void **state)
{
    (void)state;
    start(1000);
    hold(true);
    offer(0, 20);
    assert_int_equal(begun, 0);
    assert_false(take(NONE));
    until(&begun, GATE_AHEAD_THREADS);
    for (unsigned number = 20 - GATE_AHEAD_THREADS; number < 20; number++)
        assert_true(fetched(number));
    hold(false);
    until(&ended, 20);
    for (unsigned number = 0; number < 20; number++)
        take_ready(number);
    assert_false(take(7)); /* given out once */
    gate_ahead_stop(ahead);
    assert_int_equal(begun, 20);
}

static void holds_so_many_bytes(void **state)
{
    enum { MOST = GATE_AHEAD_BYTES_MAX / GATE_WHOLE_BYTES_MAX };
    (void)state;
    start(GATE_WHOLE_BYTES_MAX);
    offer(0, 2 * MOST);
    assert_false(take(NONE));
    until(&ended, MOST);
    for (unsigned i = 1; i <= 3; i++) { /* each that goes makes room for one */
        take_ready(2 * MOST - i);
        until(&ended, MOST + i);
    }
    gate_ahead_stop(ahead);
    assert_int_equal(begun, MOST + 3);
    start(GATE_WHOLE_BYTES_MAX + 1);
    offer(0, 1);
    assert_false(take(NONE));
    gate_ahead_stop(ahead);
    assert_int_equal(begun, 0);
}

static void what_fails_takes_no_room(void **state)
{
    enum { MOST = GATE_AHEAD_BYTES_MAX / GATE_WHOLE_BYTES_MAX };
    (void)state;
    start(GATE_WHOLE_BYTES_MAX);
    failing = MOST;
    offer(0, 2 * MOST);
    assert_false(take(NONE));
    until(&ended, 2 * MOST);
    unsigned taken = 0;
    for (unsigned number = 0; number < 2 * MOST; number++)
        taken += take(number);
    assert_int_equal(taken, MOST);
    gate_ahead_stop(ahead);
}

static void keeps_the_newest_offers(void **state)
{
    (void)state;
    start(10);
    offer(0, PATHS);
    assert_false(take(NONE));
    until(&ended, GATE_AHEAD_MAX);
    gate_ahead_stop(ahead);
    assert_int_equal(begun, GATE_AHEAD_MAX);
    assert_false(fetched(0));
}

static void *take_in_thread(void *ctx)
{
    *(bool *)ctx = take(0);
    return NULL;
}

static void waits_for_what_is_on_its_way(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        pthread_t thread;
        bool taken = false;
        start(1000);
        hold(true);
        failing = fails;
        offer(0, 1);
        assert_false(take(NONE));
        until(&begun, 1);
        assert_int_equal(pthread_create(&thread, NULL, take_in_thread, &taken), 0);
        hold(false);
        pthread_join(thread, NULL);
        assert_int_equal(taken, fails == 0);
        gate_ahead_stop(ahead);
        assert_int_equal(begun, 1);
    }
}

static void forgets_what_is_old(void **state)
{
    (void)state;
    start(1000);
    offer(0, 2);
    jumped_ms += GATE_VERDICT_S * 1000 - 1000;
    offer(1, 2); /* anew */
    jumped_ms += 2000;
    assert_false(take(NONE));
    until(&ended, 1);
    take_ready(1);
    offer(2, 3); /* Nix still asks: at once */
    until(&ended, 2);
    hold(true);
    offer(10, 10 + GATE_AHEAD_THREADS);
    until(&begun, 2 + GATE_AHEAD_THREADS); /* all threads are with these: 2 is there */
    jumped_ms += GATE_VERDICT_S * 1000 + 1000;
    hold(false);
    for (unsigned number = 10; number < 10 + GATE_AHEAD_THREADS; number++)
        take_ready(number);
    assert_false(take(2));
    jumped_ms += GATE_AHEAD_FOR_MS + 1000;
    offer(3, 4); /* it does not any more */
    gate_ahead_stop(ahead);
    assert_int_equal(begun, 2 + GATE_AHEAD_THREADS);
    assert_false(fetched(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetches_the_newest_first),     cmocka_unit_test(holds_so_many_bytes),
        cmocka_unit_test(what_fails_takes_no_room),     cmocka_unit_test(keeps_the_newest_offers),
        cmocka_unit_test(waits_for_what_is_on_its_way), cmocka_unit_test(forgets_what_is_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
