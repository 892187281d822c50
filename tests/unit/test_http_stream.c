/* Answers that are read as they come: whole, cut off, too slow, held back; and where they may come from. */
#include "tests/unit/support.h"
#include "tests/unit/client_server.h"

#include <unistd.h>

#include "lib/sys/http_stream.h"

enum { HUGE_BYTES = 200 << 20 };

static _Atomic unsigned read_bytes, sources_done;

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

static void handle(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    (void)ctx;
    if (span_is(path, "/trickle")) {
        http_reply_stream(request, 200, NULL, 3000000, &(struct http_source){ .read = trickle_read, .done = trickle_done });
    } else {
        size_t *left = malloc(sizeof *left);
        *left = span_is(path, "/cut") ? 2000000 : span_is(path, "/long") ? 3000000 : HUGE_BYTES;
        http_reply_stream(request, 200, NULL, span_is(path, "/huge") ? HUGE_BYTES : 3000000,
                          &(struct http_source){ .read = source_read, .done = source_done, .ctx = left });
    }
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

static void reads_files(void **state)
{
    (void)state;
    struct why why = { "" };
    char path[] = "/tmp/stele-http-XXXXXX", file[64], absent[64];
    int fd = mkstemp(path);
    static const char text[] = "some text\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    snprintf(file, sizeof file, "file://%s", path);
    snprintf(absent, sizeof absent, "file://%s.absent", path);
    struct http_stream *stream;
    struct http_stream_head head;
    struct span bytes;
    assert_int_equal(http_stream_new(&stream, &(struct http_client_config){ .allow_file = true }, &why), OK);
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_true(span_is(bytes, text));
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
    /* One that is larger than what is held of it at once. */
    assert_int_equal(truncate(path, 3000000), 0);
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(head.length, 3000000);
    uint64_t read_n = 0;
    do {
        assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
        read_n += bytes.len;
    } while (bytes.len > 0);
    assert_int_equal(read_n, 3000000);
    /* One that grows meanwhile, and one that shrinks. */
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(truncate(path, 3000001), 0);
    for (read_n = 0, bytes.len = 1; bytes.len > 0; read_n += bytes.len)
        assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(read_n, 3000000);
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(truncate(path, 100), 0);
    enum err err = OK;
    while (err == OK && bytes.len > 0)
        err = http_stream_next(stream, &bytes, &why);
    assert_int_equal(err, ERR_ENV);
    assert_non_null(strstr(why.text, "shorter"));
    /* An empty one. */
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(http_stream_open(stream, file, &head, &why), OK);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.length, 0);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(http_stream_open(stream, absent, &head, &why), OK);
    assert_int_equal(head.status, 404);
    assert_int_equal(http_stream_next(stream, &bytes, &why), OK);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(http_stream_open(stream, "file:///dev/zero", &head, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "no regular file"));
    http_stream_free(stream);
    unlink(path);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),     cmocka_unit_test(stream_too_slow), cmocka_unit_test(stream_holds_back),
        cmocka_unit_test(reads_files), cmocka_unit_test(public_only),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
