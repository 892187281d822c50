#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lib/sys/address.h"
#include "lib/sys/clock.h"
#include "lib/sys/gzip.h"
#include "lib/sys/http_client.h"
#include "lib/sys/http_server.h"

enum { HUGE_BYTES = 200 << 20 };

static struct http_server *server;
static _Atomic bool leaving; /* what is silent until then speaks */
static char url[128];
static _Atomic unsigned packed_sent, requests, redirected, read_bytes, sources_done;

static const char *at(const char *path)
{
    static char text[4][256];
    static unsigned next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "http://127.0.0.1:%u%s", http_server_port(server), path);
    return out;
}

static ptrdiff_t source_read(void *ctx, uint8_t *out, size_t max)
{
    size_t *left = ctx, len = max < *left ? max : *left;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(*left - i);
    *left -= len;
    read_bytes += (unsigned)len;
    return (ptrdiff_t)len;
}

static void source_done(void *ctx)
{
    free(ctx);
    sources_done++;
}

static ptrdiff_t trickle_read(void *ctx, uint8_t *out, size_t max)
{
    (void)ctx, (void)max;
    usleep(20 * 1000);
    *out = 'x';
    return 1;
}

static void trickle_done(void *ctx)
{
    (void)ctx;
}

/* 100,000 zeros, packed where that is asked for. */
static void reply_packed(struct http_request *request)
{
    static uint8_t zeros[100000];
    struct buf packed = BUF_EMPTY;
    if (!gzip_asked(http_request_header(request, "Accept-Encoding"))) {
        http_reply(request, 200, NULL, span_of(zeros, sizeof zeros));
        return;
    }
    struct why why;
    assert_int_equal(gzip_pack(&packed, span_of(zeros, sizeof zeros), &why), OK);
    http_reply(request, 200, (struct http_header[]){ { "Content-Encoding", "gzip" }, { NULL, NULL } }, span_buf(&packed));
    packed_sent++;
    buf_free(&packed);
}

static void handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    (void)ctx;
    requests++;
    if (span_is(path, "/redirect")) {
        http_reply(request, 302, (struct http_header[]){ { "Location", at("/target") }, { NULL, NULL } }, span_str("elsewhere"));
    } else if (span_is(path, "/target")) {
        redirected++;
        http_reply(request, 200, NULL, span_str("target"));
    } else if (span_is(path, "/silent")) {
        while (!leaving)
            usleep(1000);
        http_reply(request, 200, NULL, span_str("slow"));
    } else if (span_is(path, "/header")) {
        const char *value = http_request_header(request, "X-Test");
        http_reply(request, 200, (struct http_header[]){ { "Content-Type", "text/x.test; a=b" }, { NULL, NULL } }, span_str(value));
    } else if (span_is(path, "/auth")) {
        const char *value = http_request_header(request, "Authorization");
        http_reply(request, 200, NULL, span_str(value != NULL ? value : "none"));
    } else if (span_is(path, "/trickle")) {
        http_reply_stream(request, 200, NULL, 3000000, &(struct http_source){ .read = trickle_read, .done = trickle_done });
    } else if (span_is(path, "/long") || span_is(path, "/cut") || span_is(path, "/huge")) {
        size_t *left = malloc(sizeof *left);
        *left = span_is(path, "/cut") ? 2000000 : span_is(path, "/long") ? 3000000 : HUGE_BYTES;
        http_reply_stream(request, 200, NULL, span_is(path, "/huge") ? HUGE_BYTES : 3000000,
                          &(struct http_source){ .read = source_read, .done = source_done, .ctx = left });
    } else if (span_is(path, "/packed")) {
        reply_packed(request);
    } else if (span_is(path, "/body")) {
        http_reply(request, 200, NULL, span_is(http_method(request), "GET") ? span_str("body got") : span_str("no GET"));
    } else if (span_is(path, "/busy")) {
        http_reply_problem(request, 503, 17, "busy");
    } else {
        http_reply(request, 200, NULL, http_body(request));
    }
}

static int setup(void **state)
{
    struct why why = { "" };
    struct http_server_config config = {
        .listen = "127.0.0.1:0",
        .thread_per_connection = true,
        .body_bytes_max = 1 << 20,
        .connections_max = 100,
        .connections_per_ip_max = 100,
        .idle_timeout_s = 60,
        .request_timeout_s = 60,
        .handle = handle,
    };
    (void)state;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (http_client_system_start(&why) != OK || http_server_start(&server, &config, &why) != OK) {
        print_error("%s\n", why.text);
        return 1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leaving = true;
    http_server_stop(server, 1000);
    return 0;
}

static void gets_and_posts(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client *client;
    struct http_response response = { 0 };
    assert_int_equal(http_client_new(&client, &(struct http_client_config){ 0 }, &why), OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_get(client, at("/header"), (const char *const[]){ "X-Test: value", NULL }, 100, &response, &why), OK);
        assert_int_equal(response.status, 200);
        assert_true(span_is(span_buf(&response.body), "value"));
        assert_string_equal(response.content_type, "text/x.test; a=b");
        char body[5000];
        memset(body, 'x', sizeof body);
        struct span sent = span_of(body, sizeof body);
        assert_int_equal(http_post(client, at("/echo"), "text/plain", sent, sizeof body, &response, &why), OK);
        assert_true(span_eq(span_buf(&response.body), sent));
        assert_int_equal(http_post(client, at("/echo"), "text/plain", span_of(NULL, 0), 0, &response, &why), OK);
        assert_int_equal(response.body.len, 0);
    }
    assert_int_equal(http_get(client, at("/busy"), NULL, 1000, &response, &why), OK);
    assert_int_equal(response.status, 503);
    assert_int_equal(response.retry_after_s, 17);
    http_response_free(&response);
    http_client_free(client);
}

static void bounds_and_refuses(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client *client;
    struct http_response response = { 0 };
    assert_int_equal(http_client_new(&client, &(struct http_client_config){ .total_timeout_ms = 60000 }, &why), OK);
    assert_int_equal(http_post(client, at("/echo"), "text/plain", span_str("12345"), 5, &response, &why), OK);
    assert_int_equal(http_post(client, at("/echo"), "text/plain", span_str("12345"), 4, &response, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "more than 4 bytes"));
    assert_int_equal(http_get(client, at("/redirect"), NULL, 100, &response, &why), OK);
    assert_int_equal(response.status, 302);
    assert_string_equal(response.location, at("/target"));
    assert_int_equal(redirected, 0);
    assert_int_equal(http_get(client, "file:///dev/null", NULL, 100, &response, &why), ERR_ENV);
    assert_int_equal(http_get(client, "ftp://127.0.0.1/x", NULL, 100, &response, &why), ERR_ENV);
    /* Port 1: nobody listens. A password does not show. */
    assert_int_equal(http_get(client, "http://user:pass@127.0.0.1:1/x", NULL, 100, &response, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "http://127.0.0.1:1/x"));
    assert_null(strstr(why.text, "pass"));
    http_client_free(client);
    assert_int_equal(http_client_new(&client, &(struct http_client_config){ .total_timeout_ms = 300 }, &why), OK);
    assert_int_equal(http_get(client, at("/silent"), NULL, 100, &response, &why), ERR_ENV);
    http_response_free(&response);
    http_client_free(client);
}

static void reads_files_and_netrc(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client *client;
    struct http_response response = { 0 };
    char path[] = "/tmp/stele-http-XXXXXX", file[64], absent[64];
    int fd = mkstemp(path);
    static const char netrc[] = "machine 127.0.0.1 login u password p\n";
    assert_int_equal(write(fd, netrc, sizeof netrc - 1), sizeof netrc - 1);
    close(fd);
    snprintf(file, sizeof file, "file://%s", path);
    snprintf(absent, sizeof absent, "file://%s.absent", path);
    assert_int_equal(http_client_new(&client, &(struct http_client_config){ .allow_file = true, .netrc_file = path }, &why), OK);
    assert_int_equal(http_get(client, file, NULL, 1000, &response, &why), OK);
    assert_int_equal(response.status, 200);
    assert_true(span_is(span_buf(&response.body), netrc));
    assert_int_equal(http_get(client, absent, NULL, 1000, &response, &why), OK);
    assert_int_equal(response.status, 404);
    assert_int_equal(http_get(client, at("/auth"), NULL, 1000, &response, &why), OK);
    assert_true(span_is(span_buf(&response.body), "Basic dTpw"));
    http_client_free(client);
    struct http_stream *stream;
    struct http_stream_head head;
    struct span bytes;
    assert_int_equal(http_stream_new(&stream, &(struct http_client_config){ .allow_file = true }, &why), OK);
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_true(span_is(bytes, netrc));
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(http_stream_open(stream, absent, &head, &why), OK);
    assert_int_equal(head.status, 404);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
    http_stream_free(stream);
    unlink(path);
    http_response_free(&response);
}

static struct http_stream *new_stream(unsigned timeout_ms)
{
    struct http_stream *stream = NULL;
    struct why why = { "" };
    assert_int_equal(http_stream_new(&stream, &(struct http_client_config){ .total_timeout_ms = timeout_ms }, &why), OK);
    return stream;
}

/* The whole of "/long". */
static void read_long(struct http_stream *stream, unsigned connections)
{
    struct http_stream_head head;
    struct span bytes;
    struct why why = { "" };
    assert_int_equal(http_stream_open(stream, at("/long"), &head, &why), OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.length, 3000000);
    assert_string_equal(head.redirect, "");
    assert_int_equal(head.connections, connections);
    for (size_t left = 3000000; left > 0; left -= bytes.len) {
        assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
        assert_in_range(bytes.len, 1, left);
        for (size_t i = 0; i < bytes.len; i++)
            assert_int_equal(bytes.data[i], (uint8_t)(left - i));
    }
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
}

/* Packed where it is asked for, and bounded by what it unpacks to. */
static void asks_for_gzip(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client *client;
    struct http_response response = { 0 };
    for (int gzip = 0; gzip < 2; gzip++) {
        assert_int_equal(http_client_new(&client, &(struct http_client_config){ .gzip = gzip }, &why), OK);
        assert_int_equal(http_get(client, at("/packed"), NULL, 100000, &response, &why), OK);
        assert_int_equal(response.body.len, 100000);
        assert_int_equal(response.body.data[99999], 0);
        assert_int_equal(packed_sent, gzip);
        assert_int_equal(http_get(client, at("/packed"), NULL, 99999, &response, &why), ERR_ENV);
        assert_non_null(strstr(why.text, "more than 99999 bytes"));
        http_client_free(client);
    }
    http_response_free(&response);
}

static void streams(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_stream *stream = new_stream(60000);
    struct http_stream_head head;
    struct span bytes;
    read_long(stream, 1);
    read_long(stream, 0);
    /* Left in the middle: the next one gets nothing of it. */
    assert_int_equal(http_stream_open(stream, at("/long"), &head, &why), OK);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    read_long(stream, 1);
    /* Broken off. */
    assert_int_equal(http_stream_open(stream, at("/cut"), &head, &why), OK);
    enum err err;
    while ((err = http_stream_next(stream, &bytes, &why)) == OK)
        assert_true(bytes.len > 0);
    assert_int_equal(err, ERR_ENV);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(http_stream_open(stream, at("/redirect"), &head, &why), OK);
    assert_int_equal(head.status, 302);
    assert_string_equal(head.redirect, at("/target"));
    assert_int_equal(redirected, 0);
    http_stream_free(stream);
    /* Not a status, but none at all. */
    stream = new_stream(300);
    assert_int_equal(http_stream_open(stream, at("/silent"), &head, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "nothing came"));
    http_stream_free(stream);
}

/* A byte now and then is as good as none. */
static void stream_too_slow(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_stream *stream = new_stream(500);
    struct http_stream_head head;
    struct span bytes;
    enum err err = http_stream_open(stream, at("/trickle"), &head, &why);
    while (err == OK && (err = http_stream_next(stream, &bytes, &why)) == OK)
        assert_true(bytes.len > 0);
    assert_int_equal(err, ERR_ENV);
    /* Where this process stood still meanwhile, nothing came at all. */
    assert_true(strstr(why.text, "too slowly") != NULL || strstr(why.text, "nothing came") != NULL);
    http_stream_free(stream);
}

/* A reader that stops reading stops the sender, in bounded memory; one that closes early ends it. */
static void stream_holds_back(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_stream *stream = new_stream(0);
    struct http_stream_head head;
    struct span bytes;
    unsigned done = sources_done;
    read_bytes = 0;
    assert_int_equal(http_stream_open(stream, at("/huge"), &head, &why), OK);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_true(bytes.len > 0);
    usleep(300 * 1000);
    http_stream_free(stream);
    for (int i = 0; i < 6000 && sources_done == done; i++)
        usleep(10000);
    assert_int_equal(sources_done, done + 1);
    assert_in_range(read_bytes, 1, HUGE_BYTES / 4); /* what the system's buffers hold */
}

/* Where a redirect may lead: https and the public Internet alone, whatever a name resolves to. */
static void public_only(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_stream *stream;
    struct http_stream_head head;
    char https[64];
    assert_int_equal(http_stream_new(&stream, &(struct http_client_config){ .public_only = true }, &why), OK);
    assert_int_equal(http_stream_open(stream, at("/target"), &head, &why), ERR_ENV);
    snprintf(https, sizeof https, "https://localhost:%u/target", http_server_port(server));
    assert_int_equal(http_stream_open(stream, https, &head, &why), ERR_ENV);
    assert_int_equal(http_stream_open(stream, "file:///etc/passwd", &head, &why), ERR_ENV);
    assert_int_equal(redirected, 0);
    http_stream_free(stream);
    static const struct {
        const char *address;
        bool is_public;
    } cases[] = {
        { "1.1.1.1", true },
        { "9.255.255.255", true },
        { "10.0.0.1", false },
        { "11.0.0.0", true },
        { "127.0.0.1", false },
        { "0.0.0.0", false },
        { "169.254.169.254", false },
        { "172.15.255.255", true },
        { "172.16.0.0", false },
        { "172.31.255.255", false },
        { "172.32.0.0", true },
        { "192.168.1.1", false },
        { "192.169.0.0", true },
        { "100.64.0.1", false },
        { "100.128.0.0", true },
        { "198.18.0.1", false },
        { "224.0.0.1", false },
        { "255.255.255.255", false },
        { "223.255.255.255", true },
        { "192.0.0.8", false },
        { "::1", false },
        { "::", false },
        { "fe80::1", false },
        { "fd00::1", false },
        { "fec0::1", false },
        { "ff02::1", false },
        { "2606:4700::1111", true },
        { "2001:db8::1", false },
        { "2001:0:4136:e378::", false },
        { "2001:4860:4860::8888", true },
        { "::ffff:127.0.0.1", false },
        { "::ffff:1.1.1.1", true },
        { "64:ff9b::7f00:1", false },
        { "64:ff9b::101:101", true },
        { "2002:7f00:1::", false },
        { "2002:101:101::", true },
        { "::7f00:1", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
        struct sockaddr_in in = { .sin_family = AF_INET };
        bool six = inet_pton(AF_INET6, cases[i].address, &in6.sin6_addr) == 1;
        assert_true(six || inet_pton(AF_INET, cases[i].address, &in.sin_addr) == 1);
        if (address_public(six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in) != cases[i].is_public)
            print_error("%s\n", cases[i].address), assert_true(false);
    }
}

struct seen {
    unsigned ok, failed, connections;
    struct http_calls *calls;
    unsigned again; /* posts to start from `done` */
};

static void done(void *ctx, size_t slot, const struct http_response *response, const struct why *why)
{
    struct seen *seen = ctx;
    assert_false(http_calls_busy(seen->calls, slot));
    if (response == NULL) {
        assert_true(why->text[0] != '\0');
        seen->failed++;
        return;
    }
    assert_int_equal(response->status, 200);
    assert_true(span_starts(span_buf(&response->body), "body "));
    seen->ok++;
    seen->connections += response->connections;
    if (seen->again > 0) {
        seen->again--;
        assert_int_equal(http_calls_post(seen->calls, slot, at("/echo"), span_str("body again"), 60000, 100, NULL), OK);
    }
}

static void peers_in_parallel(void **state)
{
    (void)state;
    struct why why = { "" };
    /* A peer that accepts and says nothing. */
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t address_len = sizeof address;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 5), 0);
    getsockname(silent, (struct sockaddr *)&address, &address_len);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/add-checkpoint", ntohs(address.sin_port));
    struct seen seen = { 0 };
    assert_int_equal(http_calls_new(&seen.calls, 4, &why), OK);
    seen.again = 20;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(http_calls_post(seen.calls, i, at("/echo"), span_str("body first"), 60000, 100, &why), OK);
    assert_int_equal(http_calls_post(seen.calls, 3, url, span_str("body silent"), 60000, 100, &why), OK);
    assert_int_equal(http_calls_post(seen.calls, 3, url, span_str("body"), 600, 100, &why), ERR_USAGE);
    while (seen.ok < 23)
        assert_int_equal(http_calls_wait(seen.calls, 60000, done, &seen, &why), OK);
    /* The silent one held nobody up, and each of the others kept its connection. */
    assert_true(http_calls_busy(seen.calls, 3));
    assert_int_equal(seen.failed, 0);
    assert_int_equal(seen.connections, 3);
    /* A GET goes over the same one, and is a GET again after a POST. */
    assert_int_equal(http_calls_get(seen.calls, 0, at("/body"), 60000, 100, &why), OK);
    while (seen.ok < 24)
        assert_int_equal(http_calls_wait(seen.calls, 60000, done, &seen, &why), OK);
    assert_int_equal(seen.connections, 3);
    /* A body beyond its bound; a port where nobody listens; an end with one in flight. */
    assert_int_equal(http_calls_post(seen.calls, 0, at("/echo"), span_str("body too long"), 60000, 5, &why), OK);
    assert_int_equal(http_calls_post(seen.calls, 1, "http://127.0.0.1:1/", span_str("body"), 60000, 5, &why), OK);
    for (int i = 0; i < 600 && seen.failed < 2; i++)
        assert_int_equal(http_calls_wait(seen.calls, 100, done, &seen, &why), OK);
    assert_int_equal(seen.failed, 2);
    http_calls_free(seen.calls);
    close(silent);
}

static void *wake_soon(void *ctx)
{
    usleep(100 * 1000);
    http_calls_wake(ctx);
    return NULL;
}

static void wakes(void **state)
{
    (void)state;
    struct why why;
    struct seen seen = { 0 };
    pthread_t thread;
    assert_int_equal(http_calls_new(&seen.calls, 1, &why), OK);
    uint64_t start_ms = clock_monotonic_ms();
    assert_int_equal(http_calls_wait(seen.calls, 200, done, &seen, &why), OK);
    assert_in_range(clock_monotonic_ms() - start_ms, 190, 60000);
    pthread_create(&thread, NULL, wake_soon, seen.calls);
    start_ms = clock_monotonic_ms();
    assert_int_equal(http_calls_wait(seen.calls, 120000, done, &seen, &why), OK);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 60000);
    pthread_join(thread, NULL);
    http_calls_free(seen.calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_and_posts), cmocka_unit_test(bounds_and_refuses), cmocka_unit_test(reads_files_and_netrc),
        cmocka_unit_test(streams),        cmocka_unit_test(stream_holds_back),  cmocka_unit_test(peers_in_parallel),
        cmocka_unit_test(wakes),          cmocka_unit_test(stream_too_slow),    cmocka_unit_test(public_only),
        cmocka_unit_test(asks_for_gzip),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
