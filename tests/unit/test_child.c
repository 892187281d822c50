#define _GNU_SOURCE /* sched_getaffinity */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/sys/child.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/report.h"

enum { PATIENCE_MS = 60000 };

static enum err tell_pid(void *ctx, struct buf *hello, struct why *why)
{
    (void)ctx;
    (void)why;
    buf_fmt(hello, "%ld", (long)getpid());
    buf_byte(hello, '\0');
    return OK;
}

static int by_byte(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static enum err echo(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    (void)ctx;
    if (span_is(request, "give up"))
        return fail(why, ERR_MALFORMED, "given up");
    if (span_is(request, "report"))
        report(REPORT_INFO, "told", "by=child");
    buf_span(reply, request);
    if (span_starts(request, "sort"))
        qsort(reply->data + reply->len - request.len, request.len, 1, by_byte);
    return OK;
}

static const struct child_role echoing = { "the echo", tell_pid, echo, NULL, NULL };

static struct child *start(pid_t *pid)
{
    struct child *child;
    struct buf hello = BUF_EMPTY;
    struct why why = { "" };
    if (child_start(&child, &echoing, &hello, &why) != OK)
        assert_string_equal(why.text, "");
    *pid = (pid_t)strtol((const char *)hello.data, NULL, 10);
    assert_true(*pid > 1);
    buf_free(&hello);
    return child;
}

static enum err call(struct child *child, const char *text, struct why *why)
{
    struct buf reply = BUF_EMPTY;
    enum err err = child_call(child, span_str(text), &reply, why);
    if (err == OK)
        assert_true(span_is(span_buf(&reply), text));
    buf_free(&reply);
    return err;
}

/* Waits for a process's end, so long and no longer. */
static bool ends(pid_t pid, int *status)
{
    const struct timespec step = { .tv_nsec = 5 * 1000 * 1000 };
    for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}

static void killed_is_an_error_for_ever(void **state)
{
    struct why why;
    pid_t pid;
    siginfo_t info;
    (void)state;
    /* The parent keeps what SIGPIPE does by itself: end the process. */
    signal(SIGPIPE, SIG_DFL);
    struct child *child = start(&pid);
    assert_int_equal(call(child, "one", &why), OK);
    assert_int_equal(child_lives(child, &why), OK);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(child_lives(child, &why), ERR_ENV);
        assert_string_equal(why.text, "the echo ended unexpectedly, by signal 9");
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call(child, "two", &why), ERR_ENV);
        assert_non_null(strstr(why.text, "the echo ended unexpectedly"));
    }
    child_stop(child);
}

static void goes_on_through_signals(void **state)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
    struct why why;
    pid_t pid;
    (void)state;
    struct child *child = start(&pid);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(call(child, "still here", &why), OK);
    }
    child_stop(child);
}

static void may_report(void **state)
{
    struct why why;
    pid_t pid;
    (void)state;
    struct child *child = start(&pid);
    assert_int_equal(call(child, "report", &why), OK);
    assert_int_equal(call(child, "after it", &why), OK);
    child_stop(child);
}

/* Many references are sorted before they are compared: glibc then asks for memory, and for how much there is. */
static void may_sort(void **state)
{
    static const size_t sizes[] = { 100, 1024, 1 << 20 };
    pid_t pid;
    struct child *child = start(&pid);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf text = BUF_EMPTY, reply = BUF_EMPTY;
        struct why why = { "" };
        buf_str(&text, "sort");
        while (text.len < sizes[i])
            buf_byte(&text, (uint8_t)('z' - text.len % 26));
        if (child_call(child, span_buf(&text), &reply, &why) != OK)
            assert_string_equal(why.text, "");
        assert_int_equal(reply.len, sizes[i]);
        for (size_t k = 1; k < reply.len; k++)
            assert_true(reply.data[k - 1] <= reply.data[k]);
        buf_free(&text);
        buf_free(&reply);
    }
    child_stop(child);
}

static void an_error_is_the_last_word(void **state)
{
    struct why why;
    pid_t pid;
    siginfo_t info;
    (void)state;
    struct child *child = start(&pid);
    assert_int_equal(call(child, "give up", &why), ERR_ENV);
    assert_string_equal(why.text, "given up");
    assert_int_equal(call(child, "hello", &why), ERR_ENV);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(child_lives(child, &why), OK);
    child_stop(child);
}

/* What the C library does late, behind the sandbox: in a thread of the child's as well as in its first. */
static bool use_memory(void)
{
    enum { PIECES = 64, PIECE_BYTES = 60000 }; /* small enough for the heap, and together more than it keeps */
    char *pieces[PIECES];
    size_t had = 0;
    while (had < PIECES && (pieces[had] = malloc(PIECE_BYTES)) != NULL)
        memset(pieces[had++], 1, PIECE_BYTES);
    char *large = malloc(1 << 20), *larger = large == NULL ? NULL : realloc(large, 64 << 20);
    free(larger != NULL ? larger : large);
    for (size_t i = had; i > 0; i--)
        free(pieces[i - 1]);
    return had == PIECES && larger != NULL;
}

static bool use_stack(size_t depth)
{
    volatile uint8_t frame[4096];
    frame[depth % sizeof frame] = (uint8_t)depth;
    return depth == 0 || (use_stack(depth - 1) && frame[depth % sizeof frame] == (uint8_t)depth);
}

static bool use_random(void)
{
    uint8_t bytes[1 << 16] = { 0 };
    cpu_set_t processors;
    if (sched_getaffinity(0, sizeof processors, &processors) != 0)
        return false;
    crypto_sign_keypair(bytes, bytes + crypto_sign_PUBLICKEYBYTES);
    randombytes_buf(bytes, sizeof bytes);
    return true;
}

static bool use_texts(void)
{
    char text[1024];
    struct tm tm;
    time_t now = time(NULL);
    for (int number = -1; number < 200; number++)
        snprintf(text, sizeof text, "%s %m", strerror(number));
    snprintf(text, sizeof text, "%300d %.3f", 1, 1e300);
    fprintf(stderr, "# %.20s\n", text);
    return localtime_r(&now, &tm) != NULL && localtime(&now) != NULL && gmtime_r(&now, &tm) != NULL;
}

static bool use_waits(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    cond_init(&cond);
    pthread_mutex_lock(&lock);
    bool woken = cond_wait_until(&cond, &lock, clock_monotonic_ms() + 1);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&cond);
    return !woken;
}

static bool use_all(void)
{
    return use_memory() && use_stack(256) && use_random() && use_texts() && use_waits();
}

struct late {
    pthread_t thread;
    pthread_barrier_t turn;
    bool done;
};

static void *work_late(void *ctx)
{
    struct late *late = ctx;
    pthread_barrier_wait(&late->turn); /* it runs */
    pthread_barrier_wait(&late->turn);
    late->done = use_all();
    pthread_barrier_wait(&late->turn);
    return NULL;
}

static enum err start_late(void *ctx, struct buf *hello, struct why *why)
{
    struct late *late = ctx;
    (void)hello;
    pthread_barrier_init(&late->turn, NULL, 2);
    if (pthread_create(&late->thread, NULL, work_late, late) != 0)
        return fail(why, ERR_ENV, "no thread");
    pthread_barrier_wait(&late->turn);
    return OK;
}

static enum err serve_late(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    struct late *late = ctx;
    (void)why;
    late->done = false;
    if (span_is(request, "thread")) {
        pthread_barrier_wait(&late->turn);
        pthread_barrier_wait(&late->turn);
        pthread_join(late->thread, NULL);
    } else {
        late->done = use_all();
    }
    buf_str(reply, late->done ? "done" : "not done");
    return OK;
}

static void may_do_late_what_libraries_do(void **state)
{
    static const char *const whose[] = { "first", "thread", "first" };
    struct late late = { 0 };
    const struct child_role role = { "the late", start_late, serve_late, &late, NULL };
    struct child *child;
    struct why why = { "" };
    (void)state;
    assert_int_equal(child_start(&child, &role, NULL, &why), OK);
    for (size_t i = 0; i < sizeof whose / sizeof *whose; i++) {
        struct buf reply = BUF_EMPTY;
        if (child_call(child, span_str(whose[i]), &reply, &why) != OK)
            assert_string_equal(why.text, "");
        assert_true(span_is(span_buf(&reply), "done"));
        buf_free(&reply);
    }
    child_stop(child);
}

static enum err no_start(void *ctx, struct buf *hello, struct why *why)
{
    (void)ctx;
    (void)hello;
    return fail(why, ERR_REFUSED, "no key for %s", "this");
}

static void start_tells_why_not(void **state)
{
    const struct child_role role = { "never", no_start, echo, NULL, NULL };
    struct child *child;
    struct why why;
    (void)state;
    assert_int_equal(child_start(&child, &role, NULL, &why), ERR_REFUSED);
    assert_string_equal(why.text, "no key for this");
    assert_null(child);
}

static void too_large_is_refused(void **state)
{
    struct why why;
    struct buf reply = BUF_EMPTY;
    pid_t pid;
    (void)state;
    uint8_t *bytes = calloc(1, FRAME_BYTES_MAX + 1);
    assert_non_null(bytes);
    struct child *child = start(&pid);
    assert_int_equal(child_call(child, span_of(bytes, FRAME_BYTES_MAX + 1), &reply, &why), ERR_REFUSED);
    /* A reply has its status besides. */
    assert_int_equal(child_call(child, span_of(bytes, FRAME_BYTES_MAX - 1), &reply, &why), OK);
    assert_int_equal(reply.len, FRAME_BYTES_MAX - 1);
    child_stop(child);
    buf_free(&reply);
    free(bytes);
}

/* The test's own process takes over orphans, so that it sees the child's end after the parent's. */
static void dies_with_its_parent(void **state)
{
    int pipe_fds[2], status;
    pid_t pid;
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        (void)start(&pid);
        if (write(pipe_fds[1], &pid, sizeof pid) != (ssize_t)sizeof pid)
            _exit(1);
        pause();
        _exit(1);
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &pid, sizeof pid), sizeof pid);
    close(pipe_fds[0]);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_true(ends(parent, &status));
    assert_true(ends(pid, &status));
}

/* The socket pair then has the lowest numbers, which the child does not close as others. */
static void ends_also_without_stdio(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct child *child;
        struct why why;
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        alarm(PATIENCE_MS / 1000);
        if (child_start(&child, &echoing, NULL, &why) != OK || call(child, "hello", &why) != OK)
            _exit(1);
        child_stop(child);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static enum err tell_state(void *ctx, struct buf *hello, struct why *why)
{
    struct rlimit core;
    int open_n = 0;
    (void)ctx;
    (void)why;
    for (int fd = 3; fd < 256; fd++)
        open_n += fcntl(fd, F_GETFD) >= 0;
    getrlimit(RLIMIT_CORE, &core);
    buf_fmt(hello, "open=%d dumpable=%d new-privileges=%d core=%d", open_n, prctl(PR_GET_DUMPABLE),
            !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), core.rlim_max != 0);
    return OK;
}

static void holds_nothing_but_its_socket(void **state)
{
    const struct child_role role = { "the bare", tell_state, echo, NULL, NULL };
    struct child *child;
    struct buf hello = BUF_EMPTY;
    struct why why;
    int fds[8];
    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY)) > 2);
    assert_int_equal(child_start(&child, &role, &hello, &why), OK);
    buf_byte(&hello, '\0');
    assert_string_equal((const char *)hello.data, "open=1 dumpable=0 new-privileges=0 core=0");
    child_stop(child);
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    buf_free(&hello);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_is_an_error_for_ever),
        cmocka_unit_test(goes_on_through_signals),
        cmocka_unit_test(may_report),
        cmocka_unit_test(may_sort),
        cmocka_unit_test(may_do_late_what_libraries_do),
        cmocka_unit_test(an_error_is_the_last_word),
        cmocka_unit_test(start_tells_why_not),
        cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(dies_with_its_parent),
        cmocka_unit_test(ends_also_without_stdio),
        cmocka_unit_test(holds_nothing_but_its_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
