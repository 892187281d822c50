#include "lib/sys/http_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { STREAM_BLOCK_BYTES = 64 << 10 };

struct http_shared {
    atomic_uint references;
    struct MHD_Response *response;
    unsigned status;
    const uint8_t *data; /* the body, which is the response's */
    size_t bytes;
};

void http_drop_response(struct http_request *request)
{
    if (request->shared != NULL)
        http_shared_release(request->shared);
    else if (request->response != NULL)
        MHD_destroy_response(request->response);
    request->shared = NULL;
    request->response = NULL;
}

/* The request's response is set: gives it to the connection, at once or when its thread asks for it, and ends our hold on it. */
static void give(struct http_request *request)
{
    int state = atomic_load(&request->state);
    while (state != HTTP_ABANDONED && !atomic_compare_exchange_weak(&request->state, &state, HTTP_ANSWERED))
        continue;
    if (state == HTTP_DEFERRED && request->resumes == NULL)
        sem_post(&request->answered);
    else if (state == HTTP_DEFERRED)
        MHD_resume_connection(request->resumes);
    else if (state == HTTP_ABANDONED)
        http_drop_response(request);
    http_request_release(request);
}

static bool add_headers(struct MHD_Response *response, const struct http_header *headers)
{
    for (; headers != NULL && headers->name != NULL; headers++)
        if (MHD_add_response_header(response, headers->name, headers->value) != MHD_YES)
            return false;
    return true;
}

static void answer(struct http_request *request, unsigned status, const struct http_header *headers, struct MHD_Response *response,
                   uint64_t bytes, bool streams)
{
    if (response != NULL && !add_headers(response, headers)) {
        /* A header with a line break in it, or no memory: what it would have said must not be left out silently. */
        MHD_destroy_response(response);
        bool closes = request->server->config.closes_for_5xx;
        response = closes ? NULL : http_problem(MHD_HTTP_INTERNAL_SERVER_ERROR, 0, "a header of the answer cannot be sent");
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    request->response = response;
    request->status = status;
    request->reply_bytes = bytes;
    request->streams = streams;
    give(request);
}

/* Takes the body; NULL where memory is short. */
static struct MHD_Response *response_of(struct buf *body)
{
    struct buf taken = *body;
    *body = BUF_EMPTY;
    struct MHD_Response *response = NULL;
    if (!taken.failed && taken.data == NULL)
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT); /* an empty body has no memory */
    else if (!taken.failed)
        response = MHD_create_response_from_buffer_with_free_callback(taken.len, taken.data, free);
    if (response == NULL)
        buf_free(&taken);
    return response;
}

struct http_shared *http_shared_new(unsigned status, const struct http_header *headers, struct buf *body)
{
    struct http_shared *shared = malloc(sizeof *shared);
    struct span content = span_buf(body);
    struct MHD_Response *response = response_of(body);
    if (shared == NULL || response == NULL || !add_headers(response, headers)) {
        if (response != NULL)
            MHD_destroy_response(response);
        free(shared);
        return NULL;
    }
    *shared = (struct http_shared){ .response = response, .status = status, .data = content.data, .bytes = content.len };
    atomic_init(&shared->references, 1);
    return shared;
}

struct http_shared *http_shared_keep(struct http_shared *shared)
{
    atomic_fetch_add(&shared->references, 1);
    return shared;
}

void http_shared_release(struct http_shared *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->references, 1) > 1)
        return;
    MHD_destroy_response(shared->response);
    free(shared);
}

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct http_header **next = cls;
    (void)kind;
    *(*next)++ = (struct http_header){ name, value };
    return MHD_YES;
}

/* Over HTTP/2 it is a copy. */
static void reply_copy(struct http_request *request, const struct http_shared *shared)
{
    struct http_header headers[HTTP2_REPLY_FIELDS_MAX + 1] = { { NULL, NULL } }, *next = headers;
    struct buf body = BUF_EMPTY;
    if (MHD_get_response_headers(shared->response, NULL, NULL) > HTTP2_REPLY_FIELDS_MAX)
        body.failed = true; /* the stream is reset */
    else
        MHD_get_response_headers(shared->response, take_header, &next);
    buf_span(&body, span_of(shared->data, shared->bytes));
    http2_reply(request, shared->status, headers, &body);
}

void http_reply_shared(struct http_request *request, struct http_shared *shared)
{
    if (request->inbox != NULL) {
        reply_copy(request, shared);
        return;
    }
    request->shared = http_shared_keep(shared);
    request->response = shared->response;
    request->status = shared->status;
    request->reply_bytes = shared->bytes;
    give(request);
}

void http_reply(struct http_request *request, unsigned status, const struct http_header *headers, struct span body)
{
    if (request->inbox != NULL) {
        struct buf copy = BUF_EMPTY;
        buf_span(&copy, body);
        http2_reply(request, status, headers, &copy);
        return;
    }
    /* libmicrohttpd takes the bytes as not const, and copies them. */
    void *data = (void *)(uintptr_t)body.data;
    answer(request, status, headers, MHD_create_response_from_buffer(body.len, data, MHD_RESPMEM_MUST_COPY), body.len, false);
}

void http_reply_take(struct http_request *request, unsigned status, const struct http_header *headers, struct buf *body)
{
    size_t bytes = body->len;
    if (request->inbox != NULL)
        http2_reply(request, status, headers, body);
    else
        answer(request, status, headers, response_of(body), bytes, false);
}

/* `detail` as the inside of a JSON string. */
static void json_text(struct buf *out, const char *detail)
{
    bool utf8 = span_utf8(span_str(detail));
    for (const char *at = detail; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;
        if (c == '"' || c == '\\')
            buf_byte(out, '\\');
        buf_byte(out, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : c);
    }
}

/* Problem details (RFC 9457), and the headers that go with them. */
struct problem {
    struct buf body;
    char retry[16];
    struct http_header headers[3];
};

static void problem_make(struct problem *problem, unsigned status, unsigned retry_after_s, const char *detail)
{
    *problem = (struct problem){ .headers = { { MHD_HTTP_HEADER_CONTENT_TYPE, "application/problem+json" } } };
    buf_fmt(&problem->body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,", MHD_get_reason_phrase_for(status), status);
    buf_str(&problem->body, "\"detail\":\"");
    json_text(&problem->body, detail);
    buf_str(&problem->body, "\"}\n");
    snprintf(problem->retry, sizeof problem->retry, "%u", retry_after_s);
    if (retry_after_s != 0)
        problem->headers[1] = (struct http_header){ MHD_HTTP_HEADER_RETRY_AFTER, problem->retry };
}

struct MHD_Response *http_problem(unsigned status, unsigned retry_after_s, const char *detail)
{
    struct problem problem;
    problem_make(&problem, status, retry_after_s, detail);
    struct MHD_Response *response = response_of(&problem.body);
    if (response == NULL || add_headers(response, problem.headers))
        return response;
    MHD_destroy_response(response);
    return NULL;
}

void http_reply_problem(struct http_request *request, unsigned status, unsigned retry_after_s, const char *fmt, ...)
{
    struct problem problem;
    char detail[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    problem_make(&problem, status, retry_after_s, detail);
    http_reply_take(request, status, problem.headers, &problem.body);
}

void http_reply_method(struct http_request *request, const char *allow)
{
    struct problem problem;
    char detail[64];
    snprintf(detail, sizeof detail, "this path takes %s", allow);
    problem_make(&problem, MHD_HTTP_METHOD_NOT_ALLOWED, 0, detail);
    problem.headers[1] = (struct http_header){ MHD_HTTP_HEADER_ALLOW, allow };
    http_reply_take(request, MHD_HTTP_METHOD_NOT_ALLOWED, problem.headers, &problem.body);
}

/* A streamed body, as libmicrohttpd calls for it. */
struct stream {
    struct http_source source;
    struct http_request *request; /* alive: libmicrohttpd reads before it completes the request */
    uint64_t left;                /* UINT64_MAX where the length is unknown */
};

static ssize_t stream_read(void *cls, uint64_t at, char *out, size_t max)
{
    struct stream *stream = cls;
    (void)at;
    if (max > stream->left)
        max = (size_t)stream->left;
    ptrdiff_t got = stream->source.read(stream->source.ctx, (uint8_t *)out, max);
    /* To wait for the source is no inactivity of the peer's. */
    http_touch(stream->request);
    if (got < 0 || (got == 0 && stream->left != UINT64_MAX))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (got == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (stream->left != UINT64_MAX)
        stream->left -= (uint64_t)got;
    return got;
}

static void stream_done(void *cls)
{
    struct stream *stream = cls;
    stream->source.done(stream->source.ctx);
    free(stream);
}

void http_reply_stream(struct http_request *request, unsigned status, const struct http_header *headers, uint64_t length,
                       const struct http_source *source)
{
    struct stream *stream = malloc(sizeof *stream);
    struct MHD_Response *response = NULL;
    if (stream != NULL) {
        *stream = (struct stream){ .source = *source, .request = request, .left = length };
        response = MHD_create_response_from_callback(length == UINT64_MAX ? MHD_SIZE_UNKNOWN : length, STREAM_BLOCK_BYTES,
                                                     stream_read, stream, stream_done);
    }
    if (response == NULL) {
        free(stream);
        source->done(source->ctx);
    }
    answer(request, status, headers, response, 0, true);
}
