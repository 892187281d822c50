/* Requests that are answered as a whole: what is sent, what comes back, and what bounds it. */
#include "tests/unit/support.h"
#include "tests/unit/client_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/gzip.h"

static _Atomic unsigned packed_sent;
static _Atomic unsigned meeting; /* requests that are answered when there are two */

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
    if (span_is(path, "/meets")) {
        meeting++;
        while (meeting % 2 != 0 && !leaving)
            usleep(1000);
        http_reply(request, 200, NULL, span_str("met"));
    } else if (span_is(path, "/body")) {
        http_reply(request, 200, NULL, span_str("body got"));
    } else if (span_is(path, "/header")) {
        const char *value = http_request_header(request, "X-Test");
        http_reply(request, 200, (struct http_header[]){ { "Content-Type", "text/x.test; a=b" }, { NULL, NULL } }, span_str(value));
    } else if (span_is(path, "/auth")) {
        const char *value = http_request_header(request, "Authorization");
        http_reply(request, 200, NULL, span_str(value != NULL ? value : "none"));
    } else if (span_is(path, "/packed")) {
        reply_packed(request);
    } else if (span_is(path, "/busy")) {
        http_reply_problem(request, 503, 17, "busy");
    } else {
        http_reply(request, 200, NULL, http_body(request));
    }
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

static void gets_both(void **state)
{
    (void)state;
    struct why why = { "" };
    struct http_client *client;
    struct http_response first = { 0 }, second = { 0 };
    assert_int_equal(http_client_new(&client, &(struct http_client_config){ 0 }, &why), OK);
    /* One after the other, neither would be answered. */
    struct http_get gets[2] = { { at("/meets"), 100, &first, OK, { "" } }, { at("/meets"), 100, &second, OK, { "" } } };
    http_get_both(client, gets);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(gets[i].err, OK);
        assert_int_equal(gets[i].response->status, 200);
        assert_true(span_is(span_buf(&gets[i].response->body), "met"));
        assert_int_equal(gets[i].response->connections, 1);
    }
    /* Each has its own outcome, and the connections are kept. */
    gets[0] = (struct http_get){ at("/busy"), 1000, &first, ERR_USAGE, { "" } };
    gets[1] = (struct http_get){ at("/body"), 3, &second, OK, { "" } };
    http_get_both(client, gets);
    assert_int_equal(gets[0].err, OK);
    assert_int_equal(first.status, 503);
    assert_int_equal(first.connections, 0);
    assert_int_equal(gets[1].err, ERR_ENV);
    assert_true(second.too_large);
    assert_non_null(strstr(gets[1].why.text, "/body"));
    assert_int_equal(http_get(client, at("/body"), NULL, 100, &first, &why), OK);
    assert_true(span_is(span_buf(&first.body), "body got"));
    assert_int_equal(first.connections, 0);
    /* And one that cannot be asked does not keep the other from its answer. */
    gets[0] = (struct http_get){ at("/body"), 100, &first, OK, { "" } };
    gets[1] = (struct http_get){ "gopher://127.0.0.1/", 100, &second, OK, { "" } };
    http_get_both(client, gets);
    assert_int_equal(gets[0].err, OK);
    assert_int_equal(gets[1].err, ERR_ENV);
    http_client_free(client);
    http_response_free(&first);
    http_response_free(&second);
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
    char path[] = "/tmp/stele-http-XXXXXX", file[64], absent[64], escaped[80];
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
    /* What no time-out would end. */
    assert_int_equal(http_get(client, "file:///dev/zero", NULL, 1000, &response, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "file:///dev/zero: no regular file"));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(http_get(client, file, NULL, 1000, &response, &why), ERR_ENV);
    file[strlen(file) - 1] = '\0';
    snprintf(escaped, sizeof escaped, "%s%%%02x", file, (uint8_t)path[strlen(path) - 1]);
    assert_int_equal(http_get(client, escaped, NULL, 1000, &response, &why), ERR_ENV);
    http_client_free(client);
    unlink(path);
    http_response_free(&response);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_and_posts),        cmocka_unit_test(gets_both),     cmocka_unit_test(bounds_and_refuses),
        cmocka_unit_test(reads_files_and_netrc), cmocka_unit_test(asks_for_gzip),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
