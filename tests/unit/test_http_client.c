#include "tests/unit/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_client.h"
#include "lib/sys/http_server.h"

enum { HUGE_BYTES = 200 << 20 };

static struct http_server *server;
static _Atomic bool leaving; /* what is silent until then speaks */
static char url[128];
static _Atomic unsigned requests, redirected, read_bytes, sources_done;

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
    } else if (span_is(path, "/long") || span_is(path, "/cut") || span_is(path, "/huge")) {
        size_t *left = malloc(sizeof *left);
        *left = span_is(path, "/cut") ? 2000000 : span_is(path, "/long") ? 3000000 : HUGE_BYTES;
        http_reply_stream(request, 200, NULL, span_is(path, "/huge") ? HUGE_BYTES : 3000000,
                          &(struct http_source){ .read = source_read, .done = source_done, .ctx = left });
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
    struct http_client_config config = { .allow_file = true };
    unsigned status;
    uint64_t length;
    uint8_t data[100];
    assert_int_equal(http_stream_open(&stream, &config, file, &status, &length, &why), OK);
    assert_int_equal(status, 200);
    assert_int_equal(http_stream_read(stream, data, sizeof data, &why), sizeof netrc - 1);
    assert_int_equal(http_stream_read(stream, data, sizeof data, &why), 0);
    http_stream_close(stream);
    assert_int_equal(http_stream_open(&stream, &config, absent, &status, &length, &why), OK);
    assert_int_equal(status, 404);
    assert_int_equal(http_stream_read(stream, data, sizeof data, &why), 0);
    http_stream_close(stream);
    unlink(path);
    http_response_free(&response);
}

static void streams(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client_config config = { .total_timeout_ms = 60000 };
    struct http_stream *stream;
    unsigned status;
    uint64_t length;
    static uint8_t data[100000];
    assert_int_equal(http_stream_open(&stream, &config, at("/long"), &status, &length, &why), OK);
    assert_int_equal(status, 200);
    assert_int_equal(length, 3000000);
    for (size_t left = 3000000; left > 0;) {
        ptrdiff_t got = http_stream_read(stream, data, sizeof data, &why);
        assert_true(got > 0 && (size_t)got <= left);
        for (ptrdiff_t i = 0; i < got; i++)
            assert_int_equal(data[i], (uint8_t)(left - (size_t)i));
        left -= (size_t)got;
    }
    assert_int_equal(http_stream_read(stream, data, sizeof data, &why), 0);
    http_stream_close(stream);
    /* Broken off. */
    assert_int_equal(http_stream_open(&stream, &config, at("/cut"), &status, &length, &why), OK);
    ptrdiff_t got;
    while ((got = http_stream_read(stream, data, sizeof data, &why)) > 0)
        continue;
    assert_int_equal(got, -1);
    http_stream_close(stream);
    /* Not a status, but none at all. */
    config.total_timeout_ms = 300;
    assert_int_equal(http_stream_open(&stream, &config, at("/silent"), &status, &length, &why), ERR_ENV);
    config.total_timeout_ms = 60000;
    assert_int_equal(http_stream_open(&stream, &config, at("/redirect"), &status, &length, &why), OK);
    assert_int_equal(status, 302);
    http_stream_close(stream);
    assert_int_equal(redirected, 0);
}

/* A reader that stops reading stops the sender, in bounded memory; one that closes early ends it. */
static void stream_holds_back(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client_config config = { 0 };
    struct http_stream *stream;
    unsigned status, done = sources_done;
    uint64_t length;
    uint8_t data[1000];
    read_bytes = 0;
    assert_int_equal(http_stream_open(&stream, &config, at("/huge"), &status, &length, &why), OK);
    assert_int_equal(http_stream_read(stream, data, sizeof data, &why), sizeof data);
    usleep(300 * 1000);
    http_stream_close(stream);
    for (int i = 0; i < 6000 && sources_done == done; i++)
        usleep(10000);
    assert_int_equal(sources_done, done + 1);
    assert_in_range(read_bytes, 1, HUGE_BYTES / 4); /* what the system's buffers hold */
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
        cmocka_unit_test(wakes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
