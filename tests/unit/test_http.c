#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_server.h"
#include "tests/raw.h"
#include "tests/unit/small_server.h"

/* What the handler is told to keep: answered by another thread, or never. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_request *kept[64];
static size_t kept_n;
static bool answering;
static struct http_shared *_Atomic shared;
static _Atomic unsigned sources_done, source_bytes;
static _Atomic bool held, holding, given_up;

static void keep(struct http_request *request)
{
    pthread_mutex_lock(&lock);
    assert_true(kept_n < 64);
    kept[kept_n++] = request;
    pthread_mutex_unlock(&lock);
}

static void *answer_later(void *ctx)
{
    for (bool go = true; go;) {
        usleep(2000);
        pthread_mutex_lock(&lock);
        while (kept_n > 0) {
            struct http_request *request = kept[--kept_n];
            struct buf body = BUF_EMPTY;
            buf_fmt(&body, "later %.*s", SPAN_FMT(http_body(request)));
            http_reply_take(request, 200, NULL, &body);
        }
        go = answering;
        pthread_mutex_unlock(&lock);
    }
    return ctx;
}

static ptrdiff_t source_read(void *ctx, uint8_t *out, size_t max)
{
    size_t *left = ctx, len = max < 10000 ? max : 10000;
    if (len > *left)
        len = *left;
    memset(out, 'z', len);
    *left -= len;
    source_bytes += (unsigned)len;
    return (ptrdiff_t)len;
}

static void source_done(void *ctx)
{
    free(ctx);
    sources_done++;
}

static void stream(struct http_request *request, uint64_t length, size_t bytes)
{
    size_t *left = malloc(sizeof *left);
    *left = bytes;
    http_reply_stream(request, 200, NULL, length, &(struct http_source){ .read = source_read, .done = source_done, .ctx = left });
}

static void handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    (void)ctx;
    if (span_is(path, "/hello")) {
        http_reply(request, 200, (struct http_header[]){ { "Content-Type", "text/plain" }, { NULL, NULL } }, span_str("hello\n"));
    } else if (span_is(path, "/echo")) {
        http_reply(request, 200, NULL, http_body(request));
    } else if (span_is(path, "/later") || span_is(path, "/never")) {
        keep(request);
    } else if (span_starts(path, "/about")) {
        char text[512];
        const char *a = http_query(request, "a"), *b = http_query(request, "b"), *header = http_request_header(request, "x-test");
        int len =
            snprintf(text, sizeof text, "%.*s %.*s a=%s b=%s header=%s from=%s", SPAN_FMT(http_method(request)), SPAN_FMT(path),
                     a != NULL ? a : "-", b != NULL ? b : "-", header != NULL ? header : "-", http_remote(request));
        http_reply(request, 200, NULL, span_of(text, (size_t)len));
    } else if (span_is(path, "/stream")) {
        stream(request, 1000000, 1000000);
    } else if (span_is(path, "/stream-unknown")) {
        stream(request, UINT64_MAX, 30000);
    } else if (span_is(path, "/stream-short")) {
        stream(request, 1000000, 30000);
    } else if (span_is(path, "/shared")) {
        http_reply_shared(request, shared);
    } else if (span_is(path, "/hold")) {
        for (held = true; holding;)
            usleep(1000);
        http_reply(request, 200, NULL, span_str("held\n"));
    } else if (span_is(path, "/slow")) {
        for (held = true; !given_up;)
            usleep(1000);
        http_reply_problem(request, 404, 0, "not found in time");
    } else if (span_is(path, "/bad-header")) {
        http_reply(request, 200, (struct http_header[]){ { "X", "a\r\nY: b" }, { NULL, NULL } }, span_str("no"));
    } else {
        http_reply_problem(request, 404, 7, "nothing at \"%.*s\"\x01\xff", SPAN_FMT(path));
    }
}

static void keeps_connections(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, LONG_S);
        char out[4096];
        int fd = raw_open(http_server_port(server));
        for (int i = 0; i < 20; i++) {
            raw_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_true(raw_until(fd, "\r\n\r\nhello\n", out, sizeof out));
            assert_non_null(strstr(out, "Content-Type: text/plain"));
            raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
            assert_true(raw_until(fd, "\r\n\r\n12345", out, sizeof out));
        }
        /* Two at once. */
        raw_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /about HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_true(raw_until(fd, "hello\n", out, sizeof out));
        assert_true(raw_until(fd, "from=127.0.0.1", out, sizeof out));
        /* What follows a chunked body is not read: chunks are framed more loosely than we can see. */
        raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                     "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_true(raw_until(fd, "\r\n\r\nabcde", out, sizeof out));
        assert_non_null(strstr(out, "Connection: close"));
        assert_false(raw_until(fd, "HTTP/1.1", out, sizeof out));
        close(fd);
        http_server_stop(server, 1000);
    }
}

/* Who closes his half after the request is answered all the same. */
static void answers_half_closed(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, LONG_S);
        char out[4096];
        int fd = raw_open(http_server_port(server));
        raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
        shutdown(fd, SHUT_WR);
        assert_true(raw_until(fd, "\r\n\r\n12345", out, sizeof out));
        assert_true(raw_closed(fd));
        close(fd);
        http_server_stop(server, 1000);
    }
}

static void answers_head_queries_and_problems(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
    char out[4096];
    int fd = raw_open(http_server_port(server));
    raw_send(fd, "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, sizeof out));
    assert_non_null(strstr(out, "Content-Length: 6"));
    /* The next answer follows the head at once: no body. */
    raw_send(fd, "GET /about%2fx/../y?a=1%2b2%20%zz%00&b HTTP/1.1\r\nHost: h\r\nX-Test: yes\r\n\r\n");
    assert_true(raw_until(fd, "from=127.0.0.1", out, sizeof out));
    assert_memory_equal(out, "HTTP/1.1 200", 12);
    assert_non_null(strstr(out, "GET /about%2fx/../y a=1+2 %zz%00 b="));
    assert_non_null(strstr(out, "header=yes"));
    raw_send(fd, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "}\n", out, sizeof out));
    assert_non_null(strstr(out, "Retry-After: 7"));
    assert_non_null(strstr(out, "Content-Type: application/problem+json"));
    json_t *problem = json_loads(strchr(out, '{'), 0, NULL);
    assert_non_null(problem);
    assert_string_equal(vector_text(problem, "title"), "Not Found");
    assert_string_equal(vector_text(problem, "detail"), "nothing at \"/nothing\"??");
    assert_int_equal(vector_number(problem, "status"), 404);
    json_decref(problem);
    raw_send(fd, "GET /bad-header HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, sizeof out));
    assert_memory_equal(out, "HTTP/1.1 500", 12);
    close(fd);
    http_server_stop(server, 1000);
}

/* For a peer that takes 5xx for a reason to give up. */
static void closes_where_it_would_answer_500(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0",
                                         .threads = 1,
                                         .connections_max = 10,
                                         .connections_per_ip_max = 10,
                                         .idle_timeout_s = LONG_S,
                                         .request_timeout_s = LONG_S,
                                         .closes_for_5xx = true,
                                         .handle = handle };
    struct http_server *server = NULL;
    struct why why;
    char out[4096];
    (void)state;
    assert_int_equal(http_server_start(&server, &config, &why), OK);
    int fd = raw_open(http_server_port(server));
    raw_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "hello", out, sizeof out));
    raw_send(fd, "GET /bad-header HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(raw_until(fd, "\r\n\r\n", out, sizeof out));
    close(fd);
    http_server_stop(server, 1000);
}

/* What a handler makes of it that it was told to end is no answer: a cache's 404 would be remembered. */
static void says_nothing_once_given_up(void **state)
{
    struct http_server_config config = { .listen = "127.0.0.1:0",
                                         .thread_per_connection = true,
                                         .connections_max = 10,
                                         .connections_per_ip_max = 10,
                                         .idle_timeout_s = LONG_S,
                                         .request_timeout_s = LONG_S,
                                         .closes_for_5xx = true,
                                         .given_up = &given_up,
                                         .handle = handle };
    struct http_server *server = NULL;
    struct why why;
    char out[4096];
    (void)state;
    assert_int_equal(http_server_start(&server, &config, &why), OK);
    int fd = raw_open(http_server_port(server));
    raw_send(fd, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    while (!held)
        usleep(1000);
    given_up = true; /* as http_server_stop does */
    assert_false(raw_until(fd, "\r\n\r\n", out, sizeof out));
    close(fd);
    http_server_stop(server, 1000);
}

static void answers_later_from_another_thread(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, LONG_S);
        pthread_t thread;
        answering = true;
        pthread_create(&thread, NULL, answer_later, NULL);
        int fds[16];
        char out[4096];
        for (size_t i = 0; i < 16; i++)
            fds[i] = raw_open(http_server_port(server));
        for (int round = 0; round < 10; round++) {
            for (size_t i = 0; i < 16; i++)
                raw_send(fds[i], "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy");
            for (size_t i = 0; i < 16; i++)
                assert_true(raw_until(fds[i], "later xy", out, sizeof out));
        }
        for (size_t i = 0; i < 16; i++)
            close(fds[i]);
        pthread_mutex_lock(&lock);
        answering = false;
        pthread_mutex_unlock(&lock);
        pthread_join(thread, NULL);
        http_server_stop(server, 1000);
    }
}

/* What is never answered is answered 503 by the server when it stops, and its owner's later answer harms nobody. */
static void gives_up_when_it_stops(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, LONG_S);
        int fd = raw_open(http_server_port(server));
        raw_send(fd, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
        for (size_t n = 0; n == 0; usleep(1000)) {
            pthread_mutex_lock(&lock);
            n = kept_n;
            pthread_mutex_unlock(&lock);
        }
        uint64_t start_ms = clock_monotonic_ms();
        http_server_stop(server, 100);
        assert_in_range(clock_monotonic_ms() - start_ms, 90, 1000 * LONG_S / 2);
        assert_true(raw_closed(fd));
        close(fd);
        assert_int_equal(kept_n, 1);
        assert_true(span_is(http_path(kept[0]), "/never"));
        http_reply(kept[0], 200, NULL, span_str("too late"));
        kept_n = 0;
    }
}

/* One answer for many requests, of both methods and at once; it outlives whoever made it. */
static void shares_answers(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
    struct buf body = BUF_EMPTY;
    char out[4096];
    int fds[16];
    buf_str(&body, "one for all\n");
    shared = http_shared_new(200, (struct http_header[]){ { "X-Made", "once" }, { NULL, NULL } }, &body);
    assert_non_null(shared);
    assert_null(http_shared_new(200, (struct http_header[]){ { "X", "a\r\nY: b" }, { NULL, NULL } }, &body));
    for (size_t i = 0; i < 16; i++)
        fds[i] = raw_open(http_server_port(server));
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < 16; i++)
            raw_send(fds[i], i % 2 ? "HEAD /shared HTTP/1.1\r\nHost: h\r\n\r\n" : "GET /shared HTTP/1.1\r\nHost: h\r\n\r\n");
        for (size_t i = 0; i < 16; i++) {
            assert_true(raw_until(fds[i], i % 2 ? "\r\n\r\n" : "\r\n\r\none for all\n", out, sizeof out));
            assert_non_null(strstr(out, "X-Made: once"));
            assert_non_null(strstr(out, "Content-Length: 12"));
        }
    }
    for (size_t i = 0; i < 16; i++)
        close(fds[i]);
    http_shared_release(shared);
    http_server_stop(server, 1000);
}

static void streams(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, true, LONG_S);
    static char out[1100000];
    sources_done = 0;
    int fd = raw_open(http_server_port(server));
    raw_send(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, 4096));
    assert_non_null(strstr(out, "Content-Length: 1000000"));
    for (size_t got = 0; got < 1000000;) {
        ssize_t len = recv(fd, out, sizeof out, 0);
        assert_true(len > 0);
        got += (size_t)len;
        assert_true(got <= 1000000);
    }
    /* Kept alive, with a body of unknown length next, and the head alone. */
    raw_send(fd, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, 4096));
    raw_send(fd, "GET /stream-unknown HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n0\r\n\r\n", out, sizeof out));
    assert_non_null(strstr(out, "Transfer-Encoding: chunked"));
    /* A source that ends early breaks the connection off: no answer looks whole that is not. */
    raw_send(fd, "GET /stream-short HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, 4096));
    assert_true(raw_closed(fd));
    close(fd);
    /* A peer that goes away: the source is closed, not read to its end. */
    fd = raw_open(http_server_port(server));
    raw_send(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\nzz", out, 4096));
    close(fd);
    for (int i = 0; i < 6000 && sources_done < 5; i++)
        usleep(10000);
    assert_int_equal(sources_done, 5);
    http_server_stop(server, 1000);
}

/* As many clients as the server is told of at once, or twice as many, ask while it is busy, and then wait for it. */
static void answers_many_in_step(void **state)
{
    (void)state;
    enum { IN_STEP = 256 };
    struct http_server_config config = { .listen = "127.0.0.1:0",
                                         .threads = 1,
                                         .body_bytes_max = 1000,
                                         .connections_max = 1000,
                                         .connections_per_ip_max = 1000,
                                         .idle_timeout_s = 10 * LONG_S,
                                         .request_timeout_s = 10 * LONG_S,
                                         .handle = handle };
    struct http_server *server = NULL;
    struct why why = { "" };
    char out[4096];
    int fds[IN_STEP];
    assert_int_equal(http_server_start(&server, &config, &why), OK);
    int holder = raw_open(http_server_port(server));
    for (int n = IN_STEP / 2; n <= IN_STEP; n += IN_STEP / 2) {
        for (int i = 0; i < n; i++) {
            fds[i] = raw_open(http_server_port(server));
            raw_send(fds[i], "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_true(raw_until(fds[i], "hello\n", out, sizeof out));
        }
        held = false;
        holding = true;
        raw_send(holder, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        while (!held)
            usleep(1000);
        for (int i = 0; i < n; i++)
            raw_send(fds[i], "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        holding = false;
        assert_true(raw_until(holder, "held\n", out, sizeof out));
        for (int i = 0; i < n; i++) {
            assert_true(raw_until(fds[i], "hello\n", out, sizeof out));
            close(fds[i]);
        }
    }
    close(holder);
    http_server_stop(server, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_connections),
        cmocka_unit_test(answers_half_closed),
        cmocka_unit_test(answers_head_queries_and_problems),
        cmocka_unit_test(closes_where_it_would_answer_500),
        cmocka_unit_test(says_nothing_once_given_up),
        cmocka_unit_test(answers_later_from_another_thread),
        cmocka_unit_test(gives_up_when_it_stops),
        cmocka_unit_test(shares_answers),
        cmocka_unit_test(streams),
        cmocka_unit_test(answers_many_in_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
