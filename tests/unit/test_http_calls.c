/* Calls side by side: a slow peer holds nobody up, and connections are kept. */
#include "tests/unit/support.h"
#include "tests/unit/client_server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_calls.h"

static void handle(void *ctx, struct http_request *request)
{
    (void)ctx;
    if (span_is(http_path(request), "/body"))
        http_reply(request, 200, NULL, span_is(http_method(request), "GET") ? span_str("body got") : span_str("no GET"));
    else
        http_reply(request, 200, NULL, http_body(request));
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
    char url[64];
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
        cmocka_unit_test(peers_in_parallel),
        cmocka_unit_test(wakes),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
