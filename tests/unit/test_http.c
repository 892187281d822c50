#include "tests/unit/support.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_server.h"

/* What the handler is told to keep: answered by another thread, or never. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_request *kept[64];
static size_t kept_n;
static bool answering;
static _Atomic unsigned sources_done, source_bytes;

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
    } else if (span_is(path, "/bad-header")) {
        http_reply(request, 200, (struct http_header[]){ { "X", "a\r\nY: b" }, { NULL, NULL } }, span_str("no"));
    } else {
        http_reply_problem(request, 404, 7, "nothing at \"%.*s\"\x01\xff", SPAN_FMT(path));
    }
}

static struct http_server *server_start(bool threads, unsigned request_timeout_s)
{
    struct http_server_config config = {
        .listen = "127.0.0.1:0",
        .thread_per_connection = threads,
        .threads = 2,
        .body_bytes_max = 1000,
        .connections_max = 100,
        .connections_per_ip_max = 50,
        .idle_timeout_s = 2,
        .request_timeout_s = request_timeout_s,
        .handle = handle,
    };
    struct http_server *server = NULL;
    struct why why = { "" };
    assert_int_equal(http_server_start(&server, &config, &why), OK);
    return server;
}

static int raw_open(const struct http_server *server)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(server)) };
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct timeval patience = { .tv_sec = 10 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void raw_send(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Reads until `text` has come, or the peer closed; the end of what was read is in `out`. */
static bool raw_until(int fd, const char *text, char *out, size_t max)
{
    size_t len = 0;
    out[0] = '\0';
    while (strstr(out, text) == NULL) {
        ssize_t got = len + 1 < max ? recv(fd, out + len, 1, 0) : 0;
        if (got <= 0)
            return false;
        out[++len] = '\0';
    }
    return true;
}

/* Did the peer close (rather than wait for more)? */
static bool raw_closed(int fd)
{
    char byte;
    for (;;) {
        ssize_t got = recv(fd, &byte, 1, 0);
        if (got <= 0)
            return got == 0 || errno == ECONNRESET;
    }
}

/* Sends one request on a connection of its own; the first line of the answer, and whether the connection stayed open for
 * another. */
static unsigned raw_one(const struct http_server *server, const char *request, bool *stays)
{
    char out[4096];
    int fd = raw_open(server);
    raw_send(fd, request);
    unsigned status = 0;
    if (raw_until(fd, "\r\n", out, sizeof out))
        sscanf(out, "HTTP/1.1 %u", &status);
    raw_until(fd, "\r\n\r\n", out, sizeof out);
    /* A second request, sent only now: whoever was to close does not answer it. */
    raw_send(fd, "GET /about2 HTTP/1.1\r\nHost: h\r\n\r\n");
    *stays = raw_until(fd, "GET /about2", out, sizeof out);
    close(fd);
    return status;
}

static void keeps_connections(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = server_start(threads, 5);
        char out[4096];
        int fd = raw_open(server);
        for (int i = 0; i < 20; i++) {
            raw_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_true(raw_until(fd, "\r\n\r\nhello\n", out, sizeof out));
            assert_non_null(strstr(out, "Content-Type: text/plain"));
            raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
            assert_true(raw_until(fd, "\r\n\r\n12345", out, sizeof out));
            raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
            assert_true(raw_until(fd, "\r\n\r\nabcde", out, sizeof out));
        }
        /* Two at once. */
        raw_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /about HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_true(raw_until(fd, "hello\n", out, sizeof out));
        assert_true(raw_until(fd, "from=127.0.0.1", out, sizeof out));
        close(fd);
        http_server_stop(server, 1000);
    }
}

static void answers_head_queries_and_problems(void **state)
{
    (void)state;
    struct http_server *server = server_start(false, 5);
    char out[4096];
    int fd = raw_open(server);
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

static void answers_later_from_another_thread(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = server_start(threads, 5);
        pthread_t thread;
        answering = true;
        pthread_create(&thread, NULL, answer_later, NULL);
        int fds[16];
        char out[4096];
        for (size_t i = 0; i < 16; i++)
            fds[i] = raw_open(server);
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
        struct http_server *server = server_start(threads, 5);
        int fd = raw_open(server);
        raw_send(fd, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
        for (size_t n = 0; n == 0; usleep(1000)) {
            pthread_mutex_lock(&lock);
            n = kept_n;
            pthread_mutex_unlock(&lock);
        }
        uint64_t start_ms = clock_monotonic_ms();
        http_server_stop(server, 100);
        assert_in_range(clock_monotonic_ms() - start_ms, 90, 5000);
        assert_true(raw_closed(fd));
        close(fd);
        assert_int_equal(kept_n, 1);
        assert_true(span_is(http_path(kept[0]), "/never"));
        http_reply(kept[0], 200, NULL, span_str("too late"));
        kept_n = 0;
    }
}

#define CHUNKED "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static void bounds_bodies(void **state)
{
    (void)state;
    struct http_server *server = server_start(false, 5);
    char request[4096], out[4096];
    bool stays;
    char *body = calloc(1, 1002);
    memset(body, 'b', 1001);
    snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n%.1000s", body);
    assert_int_equal(raw_one(server, request, &stays), 200);
    snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n%s", body);
    assert_int_equal(raw_one(server, request, &stays), 413);
    assert_false(stays);
    snprintf(request, sizeof request, CHUNKED "3e8\r\n%.1000s\r\n0\r\n\r\n", body);
    assert_int_equal(raw_one(server, request, &stays), 200);
    snprintf(request, sizeof request, CHUNKED "3e9\r\n%s\r\n0\r\n\r\n", body);
    assert_int_equal(raw_one(server, request, &stays), 413);
    /* 100-continue: asked for where the body will be read, not where it will not. */
    int fd = raw_open(server);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, sizeof out));
    assert_memory_equal(out, "HTTP/1.1 100", 12);
    raw_send(fd, "abc");
    assert_true(raw_until(fd, "\r\n\r\nabc", out, sizeof out));
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\nExpect: 100-continue\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\n", out, sizeof out));
    assert_memory_equal(out, "HTTP/1.1 413", 12);
    assert_true(raw_closed(fd));
    close(fd);
    free(body);
    http_server_stop(server, 1000);
}

/* Each form that two parties could frame differently is refused, and the connection closed; its control is served. */
static void refuses_smuggling(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
    } cases[] = {
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 200 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\nCONTENT-LENGTH: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: x\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\nContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nX:\ta b\r\nContent-Length: 3\r\n\r\nabc", 200 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", 200 },
        { "GET /hello HTTP/1.1\r\n\r\n", 400 },
        { "GET /hello HTTP/1.0\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400 },
    };
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = server_start(threads, 5);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            bool stays = false;
            unsigned status = raw_one(server, cases[i].request, &stays);
            if (status != cases[i].status || stays != (status == 200))
                print_error("%s: %u%s\n", cases[i].request, status, stays ? ", connection kept" : "");
            assert_int_equal(status, cases[i].status);
            assert_int_equal(stays, status == 200);
        }
        http_server_stop(server, 1000);
    }
}

/* A byte now and then does not hold a connection for ever, wherever in the request; others are served meanwhile. */
static void reaps_slow_senders(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = server_start(threads, 1);
        static const char head[] = "GET /hello HTTP/1.1\r\nHost: h\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        int slow_head = raw_open(server), slow_body = raw_open(server), honest = raw_open(server);
        char out[4096];
        raw_send(slow_body, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
        bool head_open = true, body_open = true;
        uint64_t start_ms = clock_monotonic_ms(), body_ms = 0;
        for (size_t i = 0; i < sizeof head - 1 && (head_open || body_open); i++) {
            head_open = head_open && send(slow_head, head + i, 1, MSG_NOSIGNAL) == 1;
            if (body_open && send(slow_body, "b", 1, MSG_NOSIGNAL) != 1) {
                body_open = false;
                body_ms = clock_monotonic_ms() - start_ms;
            }
            raw_send(honest, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_true(raw_until(honest, "\r\n\r\nhello\n", out, sizeof out));
            usleep(100 * 1000);
        }
        /* The body has 1 s; the head, on a fresh connection, 2 s of idle time and 1 s. */
        assert_false(body_open);
        assert_false(head_open);
        assert_in_range(body_ms, 900, 2500);
        assert_in_range(clock_monotonic_ms() - start_ms, 2900, 4800);
        close(slow_head);
        close(slow_body);
        close(honest);
        http_server_stop(server, 1000);
    }
}

static void streams(void **state)
{
    (void)state;
    struct http_server *server = server_start(true, 5);
    static char out[1100000];
    sources_done = 0;
    int fd = raw_open(server);
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
    fd = raw_open(server);
    raw_send(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_until(fd, "\r\n\r\nzz", out, 4096));
    close(fd);
    for (int i = 0; i < 300 && sources_done < 5; i++)
        usleep(10000);
    assert_int_equal(sources_done, 5);
    http_server_stop(server, 1000);
}

static void bounds_connections(void **state)
{
    (void)state;
    struct http_server *server = server_start(false, 5);
    int fds[60], served = 0;
    char out[4096];
    for (size_t i = 0; i < 60; i++) {
        fds[i] = raw_open(server);
        raw_send(fds[i], "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        served += raw_until(fds[i], "hello\n", out, sizeof out);
    }
    assert_int_equal(served, 50);
    for (size_t i = 0; i < 60; i++)
        close(fds[i]);
    http_server_stop(server, 1000);
    struct http_server_config config = { .listen = "127.0.0.1", .handle = handle };
    struct why why;
    assert_int_equal(http_server_start(&server, &config, &why), ERR_USAGE);
    config.listen = "127.0.0.1:70000";
    assert_int_equal(http_server_start(&server, &config, &why), ERR_USAGE);
    config.listen = "192.0.2.1:80";
    assert_int_equal(http_server_start(&server, &config, &why), ERR_ENV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_connections),
        cmocka_unit_test(answers_head_queries_and_problems),
        cmocka_unit_test(answers_later_from_another_thread),
        cmocka_unit_test(gives_up_when_it_stops),
        cmocka_unit_test(bounds_bodies),
        cmocka_unit_test(refuses_smuggling),
        cmocka_unit_test(reaps_slow_senders),
        cmocka_unit_test(streams),
        cmocka_unit_test(bounds_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
