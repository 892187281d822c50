/*
 * Whatever a bastion passes on to a witness over HTTP/2: the first byte says where the input is cut in two, and whether the
 * client's preface goes before it. Requests are answered at once, later, or never; then the session ends.
 */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "lib/sys/http2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STREAMS_MAX = 8, BODY_BYTES_MAX = 4096 };

/* Handed over and not answered yet. A stream that was reset makes room for another while its request is still owed. */
struct owed {
    struct http_request **items;
    size_t n;
};

static void handle(void *ctx, struct http_request *request)
{
    struct owed *owed = ctx;
    struct span path = http_path(request), body = http_body(request);
    assert(body.len <= BODY_BYTES_MAX && http_method(request).len > 0);
    http_query(request, "a");
    http_request_header(request, "accept-encoding");
    http_party(request, http_remote(request));
    if (path.len > 1 && path.data[1] == 'l') {
        struct http_request **more = array_more(owed->items, owed->n, sizeof(struct http_request *));
        if (more == NULL)
            abort();
        owed->items = more;
        owed->items[owed->n++] = request;
    } else if (body.len > 0) {
        http_reply_problem(request, 409, 1, "%.*s", SPAN_FMT(body));
    } else {
        http_reply(request, 200, (const struct http_header[]){ { "Content-Type", "text/plain" }, { NULL, NULL } }, path);
    }
}

static void answer(struct owed *owed)
{
    while (owed->n > 0)
        http_reply(owed->items[--owed->n], 200, NULL, span_str("later"));
}

static void drain(struct http2 *http2)
{
    for (struct span out = http2_output(http2); out.len > 0; out = http2_output(http2))
        http2_sent(http2, out.len);
}

static bool receive(struct http2 *http2, struct span bytes)
{
    struct why why = { "" };
    struct http2_counts counts;
    enum err err = http2_receive(http2, bytes, &why);
    assert(err == OK || why.text[0] != '\0');
    http2_counts(http2, &counts);
    assert(counts.streams <= 2 * STREAMS_MAX);
    http2_answers(http2);
    drain(http2);
    return err == OK && !http2_ended(http2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    static int wake_fd = -1;
    struct owed owed = { NULL, 0 };
    struct http2 *http2;
    struct why why;
    uint64_t wakes;
    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (len == 0)
        return 0;
    const struct http2_config config = {
        .body_bytes_max = BODY_BYTES_MAX,
        .streams_max = STREAMS_MAX,
        .request_timeout_s = 1,
        .remote = "192.0.2.1",
        .wake_fd = wake_fd,
        .handle = handle,
        .ctx = &owed,
    };
    if (http2_new(&http2, &config, &why) != OK)
        abort();
    size_t cut = (len - 1) * (data[0] >> 1) / 127;
    bool goes_on = (data[0] & 1) == 0 || receive(http2, span_of(preface, sizeof preface));
    goes_on = goes_on && receive(http2, span_of(data + 1, cut));
    answer(&owed);
    http2_answers(http2);
    if (goes_on)
        receive(http2, span_of(data + 1 + cut, len - 1 - cut));
    http2_tick(http2, UINT32_MAX);
    http2_goaway(http2);
    drain(http2);
    http2_free(http2);
    answer(&owed); /* to nobody any more */
    free(owed.items);
    ssize_t woken = read(wake_fd, &wakes, sizeof wakes);
    (void)woken;
    return 0;
}
