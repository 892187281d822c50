/*
 * Whatever comes over a connection to the HTTP server, up to its end. What the server takes as requests must be what a plain reader
 * of RFC 9112, which takes nothing that is not of the one form, finds in the same bytes: otherwise a request could be smuggled.
 * And each request is read as the log's look-up routes read theirs.
 * link: lib/sys/http_head.c lib/sys/http_peers.c lib/sys/http_re*.c lib/sys/http_server.c lib/sys/http2*.c lib/sys/address.c lib/sys/clock.c lib/sys/gzip.c log/lookups.c -lmicrohttpd -lnghttp2 -lz -lpthread */
#include <assert.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sys/gzip.h"
#include "lib/sys/http_server.h"
#include "lib/tile.h"
#include "log/lookups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TAKEN_MAX = 64, BODY_BYTES_MAX = 4096 };

/* What the server took; written by its one thread, read when that has closed the connection. */
static struct buf taken[TAKEN_MAX];
static size_t taken_n;
static struct sockaddr_un address;
static socklen_t address_len = sizeof address;

static void put(struct buf *out, struct span method, struct span path, struct span body)
{
    buf_span(out, method);
    buf_byte(out, ' ');
    buf_span(out, path);
    buf_byte(out, '\n');
    buf_span(out, body);
}

static void ask(const struct http_request *request)
{
    struct why why;
    struct lookup_builders builders;
    struct lookup_list list;
    struct tile tile;
    uint64_t after;
    struct span path = http_path(request);
    lookup_after(&after, http_query(request, "after"), &why);
    lookup_builders(&builders, http_query(request, "builder"), &why);
    if (lookup_list_parse(&list, http_body(request), &why) == OK)
        assert(list.n > 0);
    if (path.len > 0)
        tile_path_parse(&tile, span_cut(path, 1, path.len - 1), &why);
    gzip_asked(http_request_header(request, "Accept-Encoding"));
    http_party(request, http_remote(request));
}

static void handle(void *ctx, struct http_request *request)
{
    (void)ctx;
    assert(http_body(request).len <= BODY_BYTES_MAX);
    ask(request);
    if (taken_n < TAKEN_MAX)
        put(&taken[taken_n++], http_method(request), http_path(request), http_body(request));
    if (span_is(http_method(request), "POST"))
        http_reply_problem(request, 400, 1, "%.*s", SPAN_FMT(http_path(request)));
    else
        http_reply(request, 200, NULL, http_path(request));
}

static void begin(void)
{
    struct http_server *server;
    struct why why;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sun_family = AF_UNIX; /* bound without a name, it gets one that no other has */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_len) != 0)
        abort();
    const struct http_server_config config = {
        .listen_fd = fd,
        .threads = 1,
        .body_bytes_max = BODY_BYTES_MAX,
        .connections_max = 64,
        .connections_per_ip_max = 64,
        .idle_timeout_s = 20,
        .request_timeout_s = 20,
        .handle = handle,
    };
    if (http_server_start(&server, &config, &why) != OK)
        abort();
}

/* Takes the next line off `rest`, which ends in CR LF. */
static bool next_line(struct span *rest, struct span *line)
{
    ptrdiff_t at = span_find(*rest, '\n');
    if (at < 1 || rest->data[at - 1] != '\r')
        return false;
    *line = span_cut(*rest, 0, (size_t)at - 1);
    *rest = span_cut(*rest, (size_t)at + 1, rest->len - (size_t)at - 1);
    return true;
}

/* Of an absolute-form target the path (RFC 9112 section 3.2.2); of any, no query. */
static struct span path_of(struct span target)
{
    ptrdiff_t query = span_find(target, '?');
    struct span path = query < 0 ? target : span_cut(target, 0, (size_t)query);
    if (!span_skip(&path, "http://") && !span_skip(&path, "https://"))
        return path;
    ptrdiff_t slash = span_find(path, '/');
    return slash < 0 ? span_str("/") : span_cut(path, (size_t)slash, path.len - (size_t)slash);
}

/* Takes the next request off `rest` and puts it as the server would. False where there is none; *chunked: only its head is put. */
static bool next_request(struct span *rest, struct buf *out, bool *chunked)
{
    struct span line, method, target;
    uint64_t length = 0;
    *chunked = false;
    do {
        if (!next_line(rest, &line))
            return false;
    } while (line.len == 0); /* RFC 9112 section 2.2 */
    ptrdiff_t first = span_find(line, ' ');
    if (first < 0)
        return false;
    method = span_cut(line, 0, (size_t)first);
    line = span_cut(line, (size_t)first + 1, line.len - (size_t)first - 1);
    ptrdiff_t second = span_find(line, ' ');
    if (second < 0)
        return false;
    target = span_cut(line, 0, (size_t)second);
    for (;;) {
        if (!next_line(rest, &line))
            return false;
        if (line.len == 0)
            break;
        if (line.len > 15 && strncasecmp((const char *)line.data, "Content-Length:", 15) == 0) {
            struct span value = span_cut(line, 15, line.len - 15), number = { 0 };
            if (!span_word(&value, &number) || !span_decimal(number, UINT32_MAX, &length))
                return false;
        }
        *chunked |= line.len > 18 && strncasecmp((const char *)line.data, "Transfer-Encoding:", 18) == 0;
    }
    if (length > rest->len)
        return false;
    put(out, method, path_of(target), span_cut(*rest, 0, (size_t)length));
    *rest = span_cut(*rest, (size_t)length, rest->len - (size_t)length);
    return true;
}

static void talk(const uint8_t *data, size_t len)
{
    char reply[4096];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, address_len) != 0)
        abort();
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0)
            break; /* it has closed already */
        data += sent;
        len -= (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
    ssize_t got = recv(fd, reply, sizeof reply, 0);
    assert(got <= 12 || memcmp(reply, "HTTP/1.1 ", 9) == 0);
    while (got > 0)
        got = recv(fd, reply, sizeof reply, 0);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (address.sun_family != AF_UNIX)
        begin();
    talk(data, len);
    struct span rest = span_of(data, len);
    bool chunked = false;
    for (size_t i = 0; i < taken_n; i++) {
        struct buf wanted = BUF_EMPTY;
        assert(!chunked); /* nothing is taken behind one */
        assert(next_request(&rest, &wanted, &chunked));
        assert(chunked ? taken[i].len >= wanted.len && memcmp(taken[i].data, wanted.data, wanted.len) == 0
                       : span_eq(span_buf(&taken[i]), span_buf(&wanted)));
        buf_free(&wanted);
        buf_free(&taken[i]);
    }
    taken_n = 0;
    return 0;
}
