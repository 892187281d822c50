/* The HTTP server's strictness and limits, over raw sockets: what is refused, cut off, or made room for. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>

#include "lib/sys/address.h"
#include "lib/sys/clock.h"
#include "lib/sys/http_server.h"
#include "tests/raw.h"
#include "tests/unit/small_server.h"

/* Requests for /later wait here. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_request *kept[64];
static size_t kept_n;

static void handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    (void)ctx;
    if (span_is(path, "/hello")) {
        http_reply(request, 200, NULL, span_str("hello\n"));
    } else if (span_is(path, "/echo")) {
        http_reply(request, 200, NULL, http_body(request));
    } else if (span_is(path, "/party")) {
        char text[32];
        const char *proxy = http_request_header(request, "Proxy");
        unsigned long long party = http_party(request, strcmp(proxy, "none") == 0 ? NULL : proxy);
        http_reply(request, 200, NULL, span_of(text, (size_t)snprintf(text, sizeof text, "%llx.", party)));
    } else if (span_is(path, "/later")) {
        pthread_mutex_lock(&lock);
        assert_true(kept_n < 64);
        kept[kept_n++] = request;
        pthread_mutex_unlock(&lock);
    } else {
        http_reply_problem(request, 404, 0, "nothing at %.*s", SPAN_FMT(path));
    }
}

/* Sends one request on a connection of its own; the first line of the answer, and whether the connection stayed open for
 * another. */
static unsigned raw_one(const struct http_server *server, const char *request, bool *stays)
{
    char out[4096];
    int fd = raw_open(http_server_port(server));
    raw_send(fd, request);
    unsigned status = 0;
    if (raw_until(fd, "\r\n", out, sizeof out))
        sscanf(out, "HTTP/1.1 %u", &status);
    raw_until(fd, "\r\n\r\n", out, sizeof out);
    /* A second request, sent only now: whoever was to close does not answer it. */
    raw_send(fd, "GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    *stays = raw_until(fd, "nothing at /second", out, sizeof out);
    close(fd);
    return status;
}

#define CHUNKED "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static void bounds_bodies(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
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
    int fd = raw_open(http_server_port(server));
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
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: x\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        /* A body in chunks is taken from POST alone. */
        { "GET /hello HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\nContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nX:\ta b\r\nContent-Length: 3\r\n\r\nabc", 200 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", 200 },
        { "\r\nGET /hello HTTP/1.1\r\nHost: h\r\nEmpty:\r\nBlank: \t \r\nCookie: a=b; c=d\r\n\r\n", 200 },
        { "GET /hello?a=b%20c&d HTTP/1.1\r\nHost: h\r\n\r\n", 200 },
        { "GET http://h/hello HTTP/1.1\r\nHost: h\r\n\r\n", 200 },
        /* A folded header: libmicrohttpd would join the fold to the name. */
        { "GET /hello HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\n X: y\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\n Host: h\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n 0\r\n\r\n1234567890", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chun\r\n\tked\r\n\r\n0\r\n\r\n", 400 },
        /* Lines that end in a bare LF. */
        { "GET /hello HTTP/1.1\nHost: h\n\n", 400 },
        { "GET /hello HTTP/1.1\nHost: h\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\n\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\n:x\n", 400 },
        { "GET  /hello HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET  /hello HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400 }, /* a byte too many, and one too few */
        { "GET /hello  HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400 },
        { "GET  /hello HTTP/1.1\nHost: h\r\n\r\n", 400 },
        { "GET  /hello HTTP/1.1\r\nHost: h\r\n\n", 400 },
        { "GET /hello x HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello\x80 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "G@T /hello HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nX(y): x\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400 },
        { "GET /hello HTTP/2.0\r\nHost: h\r\n\r\n", 505 },
        { "GET /hello\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\n\r\n", 400 },
        { "GET /hello HTTP/1.0\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400 },
    };
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, LONG_S);
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

/* A NUL ends a string for us, and a line for nobody. */
static void refuses_nuls(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(text) { text, sizeof(text) - 1 }
        CASE("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"), CASE("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\0\r\n\r\n"),
        CASE("GET /hello HTTP/1.1\r\nHost: h\0\r\nX: a\r\n\r\n"),  CASE("GET /hello\0/x HTTP/1.1\r\nHost: h\r\n\r\n"),
        CASE("GET\0 /hello HTTP/1.1\r\nHost: h\r\n\r\n"),          CASE("GET /hello HTTP/1.1\r\nHost: h\r\nX: a\0b\n\n"),
#undef CASE
    };
    struct http_server *server = small_server(handle, false, LONG_S);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[4096];
        int fd = raw_open(http_server_port(server));
        assert_int_equal(send(fd, cases[i].bytes, cases[i].len, MSG_NOSIGNAL), cases[i].len);
        assert_true(raw_until(fd, "\r\n\r\n", out, sizeof out));
        assert_memory_equal(out, "HTTP/1.1 400", 12);
        assert_true(raw_closed(fd));
        close(fd);
    }
    struct http_server_counts counts;
    http_server_counts(server, &counts);
    assert_int_equal(counts.malformed, sizeof cases / sizeof cases[0]);
    http_server_stop(server, 1000);
}

/* A head that is too large gets its status, and its connection closed. */
static void bounds_heads(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
    char *text = calloc(1, 70000), out[4096];
    for (int header = 0; header < 2; header++) {
        size_t len = (size_t)sprintf(text, "%s", header ? "GET /hello HTTP/1.1\r\nHost: h\r\nX: " : "GET /");
        memset(text + len, 'x', 60000);
        strcpy(text + len + 60000, header ? "\r\n\r\n" : " HTTP/1.1\r\nHost: h\r\n\r\n");
        int fd = raw_open(http_server_port(server));
        raw_send(fd, text);
        assert_true(raw_until(fd, "\r\n", out, sizeof out));
        assert_memory_equal(out, header ? "HTTP/1.1 431" : "HTTP/1.1 414", 12);
        assert_true(raw_closed(fd));
        close(fd);
    }
    free(text);
    http_server_stop(server, 1000);
}

/* A byte now and then does not hold a connection for ever, wherever in the request; others are served meanwhile. */
static void reaps_slow_senders(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        struct http_server *server = small_server(handle, threads, 1);
        static const char head[] = "GET /hello HTTP/1.1\r\nHost: h\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        unsigned port = http_server_port(server);
        int slow_head = raw_open(port), slow_body = raw_open(port), honest = raw_open(port);
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
            if (!raw_until(honest, "\r\n\r\nhello\n", out, sizeof out)) {
                /* This process may have stood still for longer than a client may. */
                close(honest);
                honest = raw_open(port);
                raw_send(honest, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_true(raw_until(honest, "\r\n\r\nhello\n", out, sizeof out));
            }
            usleep(100 * 1000);
        }
        /* The body has 1 s; the head, on a fresh connection, 2 s of idle time and 1 s. */
        assert_false(body_open);
        assert_false(head_open);
        assert_in_range(body_ms, 900, UINT64_MAX);
        assert_in_range(clock_monotonic_ms() - start_ms, 2900, UINT64_MAX);
        close(slow_head);
        close(slow_body);
        close(honest);
        http_server_stop(server, 1000);
    }
}

/* More connections than one address may have: those that ask for nothing make room, those that do are kept. */
static void bounds_connections(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
    struct http_server_counts counts;
    int fds[120], active;
    char out[4096];
    active = raw_open(http_server_port(server));
    for (size_t i = 0; i < 120; i++) {
        fds[i] = raw_open(http_server_port(server));
        /* One after the other: the server's loops take them in no order of their own. */
        do {
            usleep(1000);
            http_server_counts(server, &counts);
        } while (counts.cut_for_room + counts.connections < i + 2);
        if (i % 2 == 0)
            raw_send(fds[i], "GET /hel");
        raw_send(active, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_true(raw_until(active, "hello\n", out, sizeof out));
    }
    assert_int_equal(counts.cut_for_room, 71);
    assert_int_equal(counts.connections, 50);
    /* The newest are there, and served; the oldest are gone. */
    raw_send(fds[119], "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    bool served = raw_until(fds[119], "hello\n", out, sizeof out);
    if (!served)
        print_error("instead of hello: \"%s\"\n", out);
    assert_true(served);
    assert_true(raw_closed(fds[0]));
    for (size_t i = 0; i < 120; i++)
        close(fds[i]);
    close(active);
    http_server_stop(server, 1000);
}

/* Where all are being answered, none is given up for a new one. */
static void keeps_what_it_answers(void **state)
{
    (void)state;
    struct http_server *server = small_server(handle, false, LONG_S);
    int fds[50], late;
    char out[4096];
    for (size_t i = 0; i < 50; i++) {
        fds[i] = raw_open(http_server_port(server));
        raw_send(fds[i], "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy");
    }
    for (size_t n = 0; n < 50; usleep(1000)) {
        pthread_mutex_lock(&lock);
        n = kept_n;
        pthread_mutex_unlock(&lock);
    }
    late = raw_open(http_server_port(server));
    assert_true(raw_closed(late));
    close(late);
    for (; kept_n > 0; kept_n--)
        http_reply(kept[kept_n - 1], 200, NULL, http_body(kept[kept_n - 1]));
    for (size_t i = 0; i < 50; i++) {
        assert_true(raw_until(fds[i], "\r\n\r\nxy", out, sizeof out));
        close(fds[i]);
    }
    http_server_stop(server, 1000);
}

/* Who asks: the connection's address, or behind a proxy what the proxy says, and not what the client made it repeat. */
static void tells_parties_apart(void **state)
{
    (void)state;
    static const struct {
        const char *proxy, *headers, *want;
    } cases[] = {
        { "none", "", "127.0.0.1" },
        { "none", "X-Forwarded-For: 192.0.2.1\r\n", "127.0.0.1" },
        { "127.0.0.2", "X-Forwarded-For: 192.0.2.1\r\n", "127.0.0.1" },
        { "127.0.0.1", "", "127.0.0.1" },
        { "127.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
        { "127.0.0.1", "x-forwarded-for: 192.0.2.2, 2001:db8::1 ,\t192.0.2.1 \r\n", "192.0.2.1" },
        { "::ffff:127.0.0.1", "X-Forwarded-For: 192.0.2.2\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
        { "127.0.0.1", "X-Forwarded-For: 2001:db8:1:2:3::4\r\n", "2001:db8:1:2::" },
        { "127.0.0.1", "X-Forwarded-For: unknown\r\n", "127.0.0.1" },
        { "127.0.0.1", "X-Forwarded-For: 192.0.2.1,\r\n", "127.0.0.1" },
    };
    struct http_server *server = small_server(handle, false, LONG_S);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[512], want[64], out[4096];
        int fd = raw_open(http_server_port(server));
        snprintf(request, sizeof request, "GET /party HTTP/1.1\r\nHost: h\r\nProxy: %s\r\nConnection: close\r\n%s\r\n",
                 cases[i].proxy, cases[i].headers);
        snprintf(want, sizeof want, "\r\n\r\n%llx.", (unsigned long long)address_party(cases[i].want));
        raw_send(fd, request);
        bool right = raw_until(fd, want, out, sizeof out);
        if (!right)
            print_error("%s: %s\n", cases[i].headers, out);
        assert_true(right);
        close(fd);
    }
    http_server_stop(server, 1000);
    assert_int_equal(address_party("2001:db8:1:2::1"), address_party("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_int_not_equal(address_party("2001:db8:1:2::1"), address_party("2001:db8:1:3::1"));
    assert_int_equal(address_party("192.0.2.1"), address_party("::ffff:192.0.2.1"));
    assert_int_not_equal(address_party("192.0.2.1"), address_party("192.0.2.2"));
    assert_int_not_equal(address_party("0.0.0.0"), address_party("::1"));
    assert_int_not_equal(address_party("::1"), 0);
    assert_int_equal(address_party("192.0.2.1:80"), 0);
    assert_int_equal(address_party("nonsense"), 0);
}

static void refuses_to_listen(void **state)
{
    (void)state;
    struct http_server *server;
    struct http_server_config config = { .listen = "127.0.0.1", .handle = handle };
    struct why why;
    assert_int_equal(http_server_start(&server, &config, &why), ERR_USAGE);
    config.listen = "127.0.0.1:70000";
    assert_int_equal(http_server_start(&server, &config, &why), ERR_USAGE);
    config.listen = "::1:80"; /* where does the address end? */
    assert_int_equal(http_server_start(&server, &config, &why), ERR_USAGE);
    config.listen = "192.0.2.1:80";
    assert_int_equal(http_server_start(&server, &config, &why), ERR_ENV);
    config.listen = "[::1::2]:80";
    assert_int_equal(http_server_start(&server, &config, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "cannot listen on [::1::2]:80"));
    config.listen = "127.0.0.1:0";
    config.listen_fd = 1000; /* nobody handed it over */
    assert_int_equal(http_server_start(&server, &config, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "handed over"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_bodies),         cmocka_unit_test(refuses_smuggling),   cmocka_unit_test(refuses_nuls),
        cmocka_unit_test(bounds_heads),          cmocka_unit_test(reaps_slow_senders),  cmocka_unit_test(bounds_connections),
        cmocka_unit_test(keeps_what_it_answers), cmocka_unit_test(tells_parties_apart), cmocka_unit_test(refuses_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
