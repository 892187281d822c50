/*
 * Whatever comes over a connection to the HTTP server, up to its end. What the server takes as requests must be what a plain reader
 * of RFC 9112, which takes nothing that is not of the one form, finds in the same bytes: otherwise a request could be smuggled.
 * And each request is read as the log's look-up routes read theirs.
 */
#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/sys/gzip.h"
#include "lib/tile.h"
#include "log/lookups.h"
#include "tests/fuzz/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TAKEN_MAX = 64, BODY_BYTES_MAX = 4096 };

/* What the server took. */
static struct buf taken[TAKEN_MAX];
static size_t taken_n;

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

/* Takes the next line off `rest`, which ends in CR LF; or in NUL LF, which the server cannot tell from it (lib/sys/http_head.c). */
static bool next_line(struct span *rest, struct span *line)
{
    ptrdiff_t at = span_find(*rest, '\n');
    if (at < 1 || (rest->data[at - 1] != '\r' && rest->data[at - 1] != '\0'))
        return false;
    *line = span_cut(*rest, 0, (size_t)at - 1);
    *rest = span_cut(*rest, (size_t)at + 1, rest->len - (size_t)at - 1);
    return true;
}

/* Takes the last line of a head off `rest`, and the empty one: four bytes that are CR LF CR LF, or that the server cannot tell from
 * them, for libmicrohttpd makes NULs of line ends, and of a colon that begins a line. */
static bool last_line(struct span *rest, struct span *line)
{
    size_t len = 0;
    while (len < rest->len && memchr("\r\n", rest->data[len], 3) == NULL)
        len++;
    if (len == 0 || rest->len < len + 4)
        return false;
    const uint8_t *end = rest->data + len;
    for (size_t i = 0; i < 4; i++)
        if (memchr("\r\n:", end[i], 4) == NULL)
            return false;
    if (end[3] != '\n' || memchr(end, '\n', 3) == NULL)
        return false;
    *line = span_cut(*rest, 0, len);
    *rest = span_cut(*rest, len + 4, rest->len - len - 4);
    return true;
}

/* Takes an empty line off `rest`; for the server one that starts with a NUL is empty as well. */
static bool pass_over(struct span *rest)
{
    ptrdiff_t at = rest->len > 0 && rest->data[0] == '\0' ? span_find(*rest, '\n') : -1;
    if (at < 0)
        return span_skip(rest, "\r\n") || span_skip(rest, "\n");
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
    /* Empty lines before a request are passed over, here those of a line feed alone too (RFC 9112 section 2.2). */
    while (pass_over(rest))
        continue;
    if (!next_line(rest, &line))
        return false;
    ptrdiff_t first = span_find(line, ' ');
    if (first < 0)
        return false;
    method = span_cut(line, 0, (size_t)first);
    line = span_cut(line, (size_t)first + 1, line.len - (size_t)first - 1);
    ptrdiff_t second = span_find(line, ' ');
    if (second < 0)
        return false;
    target = span_cut(line, 0, (size_t)second);
    for (bool last = false; !last;) {
        last = last_line(rest, &line);
        if (!last && !next_line(rest, &line))
            return false;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct http_server_config config = { .body_bytes_max = BODY_BYTES_MAX, .handle = handle };
    struct buf replies = BUF_EMPTY;
    struct span rest = span_of(data, len);
    bool chunked = false;
    wire_talk(&config, rest, &replies);
    assert(replies.len == 0 || span_starts(span_buf(&replies), "HTTP/1.1 "));
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
    buf_free(&replies);
    return 0;
}
