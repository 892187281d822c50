#include "tests/fuzz/upstream.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/http_stream.h"

enum { PIECE_BYTES = 1000 };

struct http_client {
    char unused;
};

struct http_stream {
    struct span rest;
};

static const struct upstream_answer *known;
static size_t known_n;

void upstream_answers(const struct upstream_answer *answers, size_t n)
{
    known = answers;
    known_n = n;
}

static unsigned answer_to(const char *url, struct span *body)
{
    size_t i = 0;
    while (i + 1 < known_n && !span_ends(span_str(url), known[i].suffix))
        i++;
    *body = known_n == 0 ? span_of(NULL, 0) : known[i].text;
    if (body->data == NULL)
        return 404;
    struct span rest = *body, line;
    uint64_t status;
    if (!span_line(&rest, &line) || line.len != 3 || !span_decimal(line, 999, &status) || status < 100)
        return 200;
    *body = rest;
    return (unsigned)status;
}

enum err http_client_system_start(struct why *why)
{
    (void)why;
    return OK;
}

enum err http_client_new(struct http_client **out, const struct http_client_config *config, struct why *why)
{
    (void)config;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? OK : fail(why, ERR_ENV, "out of memory");
}

void http_client_free(struct http_client *client)
{
    free(client);
}

void http_response_free(struct http_response *response)
{
    buf_free(&response->body);
    *response = (struct http_response){ 0 };
}

static enum err ask(const char *url, size_t bytes_max, struct http_response *response, struct why *why)
{
    struct span body;
    struct buf room = response->body;
    buf_clear(&room);
    *response = (struct http_response){ .body = room, .status = answer_to(url, &body) };
    response->too_large = body.len > bytes_max;
    if (response->too_large)
        return fail(why, ERR_ENV, "%s: the answer has more than %zu bytes", url, bytes_max);
    buf_span(&response->body, body);
    if (response->status >= 400 && span_starts(body, "{"))
        snprintf(response->content_type, sizeof response->content_type, "application/problem+json");
    return buf_done(&response->body, why);
}

enum err http_get(struct http_client *client, const char *url, const char *const *headers, size_t bytes_max,
                  struct http_response *response, struct why *why)
{
    (void)client, (void)headers;
    return ask(url, bytes_max, response, why);
}

void http_get_both(struct http_client *client, struct http_get gets[2])
{
    (void)client;
    for (size_t i = 0; i < 2; i++)
        gets[i].err = ask(gets[i].url, gets[i].bytes_max, gets[i].response, &gets[i].why);
}

enum err http_post(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                   struct http_response *response, struct why *why)
{
    (void)client, (void)content_type;
    enum err err = ask(url, bytes_max, response, why);
    for (size_t i = 0; i < body.len; i++)
        response->answered += body.data[i] == '\n';
    return err;
}

enum err http_put(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                  struct http_response *response, struct why *why)
{
    return http_post(client, url, content_type, body, bytes_max, response, why);
}

enum err http_stream_new(struct http_stream **out, const struct http_client_config *config, struct why *why)
{
    (void)config;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? OK : fail(why, ERR_ENV, "out of memory");
}

void http_stream_free(struct http_stream *stream)
{
    free(stream);
}

/* A redirect leads to the URL that its body names. */
enum err http_stream_open(struct http_stream *stream, const char *url, struct http_stream_head *head, struct why *why)
{
    *head = (struct http_stream_head){ .status = answer_to(url, &stream->rest), .length = UINT64_MAX };
    if (head->status / 100 == 3) {
        struct span to = stream->rest;
        if (to.len >= sizeof head->redirect)
            return fail(why, ERR_ENV, "%s: a redirect to too long a URL", url);
        memcpy(head->redirect, to.data, to.len);
        head->redirect[to.len] = '\0';
    }
    return OK;
}

enum err http_stream_next(struct http_stream *stream, struct span *bytes, struct why *why)
{
    (void)why;
    size_t n = stream->rest.len < PIECE_BYTES ? stream->rest.len : PIECE_BYTES;
    *bytes = span_cut(stream->rest, 0, n);
    stream->rest = span_cut(stream->rest, n, stream->rest.len - n);
    return OK;
}

void http_stream_close(struct http_stream *stream)
{
    stream->rest = span_of(NULL, 0);
}
