#include "lib/sys/http2.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <nghttp2/nghttp2.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_internal.h"

/* One request, from its first header to its answer's last byte. */
struct http2_stream {
    struct http2_stream *prev, *next; /* in http2->streams */
    int32_t id;
    struct http_request *request; /* NULL until the head is whole */
    struct buf fields;            /* until then: as http_request.fields, pseudo-headers included */
    size_t head_bytes;            /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    uint64_t deadline_ms;
    bool handed; /* to `handle`, or refused */
    size_t sent; /* of the answer's body */
};

struct http2 {
    struct http2_config config;
    char remote[HTTP_REMOTE_BYTES];
    nghttp2_session *session;
    struct http2_inbox *inbox;
    struct http2_stream *streams;
    struct buf out; /* to be sent, from `out_from` on */
    size_t out_from;
    uint64_t now_ms;
    bool begun;
    struct http2_counts counts;
};

static struct http2_stream *stream_of(struct http2 *http2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(http2->session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct http2_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->id = frame->hd.stream_id;
    stream->deadline_ms = http2->now_ms + 1000ull * http2->config.request_timeout_s;
    stream->next = http2->streams;
    if (stream->next != NULL)
        stream->next->prev = stream;
    http2->streams = stream;
    http2->counts.streams++;
    nghttp2_session_set_stream_user_data(session, stream->id, stream);
    return 0;
}

/* nghttp2 has checked that names and values are of the form, and that the pseudo-headers are those of a request, once each. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct http2_stream *stream = stream_of(ctx, frame->hd.stream_id);
    (void)session, (void)flags;
    if (stream == NULL || stream->request != NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers are passed over */
    stream->head_bytes += name_len + value_len + 32;
    if (stream->head_bytes <= HTTP2_HEAD_BYTES_MAX)
        http2_put_field(&stream->fields, span_of(name, name_len), span_of(value, value_len));
    return 0;
}

/* The head, or what is needed to refuse it, as a request; the fields become its own. */
static struct http_request *request_new(struct http2 *http2, struct http2_stream *stream)
{
    const char *method = http2_field(&stream->fields, ":method", false), *target = http2_field(&stream->fields, ":path", false);
    if (method == NULL)
        method = "";
    if (target == NULL)
        target = "";
    size_t method_len = strlen(method), path_len = strcspn(target, "?"), target_len = strlen(target);
    struct http_request *request = calloc(1, sizeof *request + method_len + target_len + 2);
    if (request == NULL)
        return NULL;
    request->inbox = http2->inbox;
    atomic_fetch_add(&http2->inbox->references, 1);
    request->stream = stream;
    atomic_init(&request->references, 1);
    sem_init(&request->answered, 0, 0);
    memcpy(request->remote, http2->remote, sizeof request->remote);
    memcpy(request->text, method, method_len + 1);
    char *at = request->text + method_len + 1;
    memcpy(at, target, target_len + 1);
    request->method = span_of(request->text, method_len);
    request->path = span_of(at, path_len);
    if (path_len < target_len) {
        at[path_len] = '\0';
        request->query = at + path_len + 1;
    }
    request->fields = stream->fields;
    stream->fields = BUF_EMPTY;
    return request;
}

/* Counts it as handed over: from here on exactly one answer is owed. */
static void owe(struct http2 *http2, struct http2_stream *stream)
{
    stream->handed = true;
    stream->deadline_ms = HTTP_NO_DEADLINE;
    atomic_fetch_add(&stream->request->references, 1);
    http2->inbox->owed++;
}

static void refuse(struct http2 *http2, struct http2_stream *stream, unsigned status, const char *detail)
{
    http2->counts.refused++;
    owe(http2, stream);
    http_reply_problem(stream->request, status, status == 503 ? 1 : 0, "%s", detail);
}

static bool target_ok(struct span path, const char *query)
{
    bool ok = path.len > 0 && path.data[0] == '/';
    for (size_t i = 0; i < path.len; i++)
        ok &= path.data[i] > ' ' && path.data[i] < 0x7f;
    for (; query != NULL && *query != '\0'; query++)
        ok &= *query > ' ' && *query < 0x7f;
    return ok;
}

/* The head is whole. What cannot be taken is answered at once, before its body. */
static int begin(struct http2 *http2, struct http2_stream *stream)
{
    uint64_t length = 0;
    struct http_request *request = stream->fields.failed ? NULL : request_new(http2, stream);
    if (request == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->request = request;
    const char *length_text = http2_field(&request->fields, "content-length", false);
    if (stream->head_bytes > HTTP2_HEAD_BYTES_MAX)
        refuse(http2, stream, 431, "the headers are too large");
    else if (!target_ok(request->path, request->query))
        refuse(http2, stream, 400, "the path is no path, or has characters that no URI has (RFC 9112 section 3.2)");
    else if (length_text != NULL && span_decimal(span_str(length_text), INT64_MAX, &length) &&
             length > http2->config.body_bytes_max)
        refuse(http2, stream, 413, "the body is too large");
    return 0;
}

static void hand_over(struct http2 *http2, struct http2_stream *stream)
{
    if (stream == NULL || stream->request == NULL || stream->handed)
        return;
    /* Of those that were reset since, some are not answered yet. */
    if (http2->inbox->owed >= http2->config.streams_max) {
        refuse(http2, stream, 503, "too many requests at once");
        return;
    }
    http2->counts.requests++;
    owe(http2, stream);
    http2->config.handle(http2->config.ctx, stream->request);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx)
{
    struct http2 *http2 = ctx;
    struct http2_stream *stream = stream_of(http2, id);
    (void)session, (void)flags;
    if (stream == NULL || stream->request == NULL || stream->handed)
        return 0;
    struct http_request *request = stream->request;
    if (len > http2->config.body_bytes_max - request->body.len) {
        refuse(http2, stream, 413, "the body is too large");
    } else if (atomic_load(&http2->inbox->bodies_bytes) + len > HTTP2_BODIES_BYTES_MAX) {
        refuse(http2, stream, 503, "too many requests at once");
    } else {
        size_t before = request->body.len;
        buf_add(&request->body, data, len);
        atomic_fetch_add(&http2->inbox->bodies_bytes, request->body.len - before);
        if (request->body.failed)
            refuse(http2, stream, 503, "out of memory");
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    (void)session;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        http2->begun = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http2_stream *stream = stream_of(http2, frame->hd.stream_id);
    if (stream != NULL && stream->request == NULL && begin(http2, stream) != 0)
        return nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        hand_over(http2, stream);
    return 0;
}

/* An answer that went before its request was whole: the rest is not wanted (RFC 9113 section 8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    (void)ctx;
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) != 0)
        return 0;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
}

static void stream_free(struct http2 *http2, struct http2_stream *stream)
{
    if (stream->next != NULL)
        stream->next->prev = stream->prev;
    if (stream->prev != NULL)
        stream->prev->next = stream->next;
    else
        http2->streams = stream->next;
    http2->counts.streams--;
    buf_free(&stream->fields);
    if (stream->request != NULL) {
        stream->request->stream = NULL;
        http_request_release(stream->request);
    }
    free(stream);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct http2_stream *stream = stream_of(ctx, id);
    (void)session, (void)code;
    if (stream != NULL)
        stream_free(ctx, stream);
    return 0;
}

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *out, size_t max, uint32_t *flags,
                          nghttp2_data_source *source, void *ctx)
{
    struct http2_stream *stream = source->ptr;
    (void)session, (void)id, (void)ctx;
    struct span rest = span_buf(&stream->request->reply);
    rest = span_cut(rest, stream->sent, rest.len - stream->sent);
    if (max > rest.len)
        max = rest.len;
    if (max > 0)
        memcpy(out, rest.data, max);
    stream->sent += max;
    if (max == rest.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)max;
}

static void put_nv(nghttp2_nv *nv, size_t *n, const char *name, const char *value)
{
    /* nghttp2 takes the bytes as not const, and copies them. */
    nv[(*n)++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name, .namelen = strlen(name), .value = (uint8_t *)(uintptr_t)value, .valuelen = strlen(value)
    };
}

static int submit(struct http2 *http2, struct http2_stream *stream)
{
    struct http_request *request = stream->request;
    nghttp2_nv nv[3 + HTTP2_REPLY_FIELDS_MAX];
    nghttp2_data_provider body = { .source.ptr = stream, .read_callback = read_reply };
    char status[16], length[24], date[40];
    const char *name, *value;
    time_t now = (time_t)clock_posix_s();
    struct tm tm;
    size_t n = 0;
    if (request->reply.failed || request->reply_fields.failed)
        return NGHTTP2_ERR_NOMEM;
    snprintf(status, sizeof status, "%u", request->status);
    snprintf(length, sizeof length, "%zu", request->reply.len);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    put_nv(nv, &n, ":status", status);
    put_nv(nv, &n, "date", date);
    put_nv(nv, &n, "content-length", length);
    struct span rest = span_buf(&request->reply_fields);
    for (uint8_t *at = request->reply_fields.data; http2_next_field(&rest, &name, &value); at = (uint8_t *)(uintptr_t)rest.data) {
        for (; *at != '\0'; at++) /* names are in lower case (RFC 9113 section 8.2) */
            *at = *at >= 'A' && *at <= 'Z' ? (uint8_t)(*at - 'A' + 'a') : *at;
        if (n == sizeof nv / sizeof *nv)
            return NGHTTP2_ERR_INVALID_ARGUMENT;
        put_nv(nv, &n, name, value);
    }
    bool without = span_is(request->method, "HEAD") || request->reply.len == 0;
    stream->deadline_ms =
        http2->now_ms + 1000ull * http2->config.request_timeout_s + request->reply.len * 1000 / HTTP_REPLY_BYTES_PER_S_MIN;
    return nghttp2_submit_response(http2->session, stream->id, nv, n, without ? NULL : &body);
}

void http2_answers(struct http2 *http2)
{
    struct http2_inbox *inbox = http2->inbox;
    pthread_mutex_lock(&inbox->lock);
    struct http_request *list = inbox->first, *next;
    inbox->first = NULL;
    inbox->end = &inbox->first;
    pthread_mutex_unlock(&inbox->lock);
    for (; list != NULL; list = next) {
        next = list->next;
        inbox->owed--;
        if (list->stream != NULL && submit(http2, list->stream) != 0)
            nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, list->stream->id, NGHTTP2_INTERNAL_ERROR);
        http_request_release(list);
    }
}

void http2_tick(struct http2 *http2, uint64_t now_ms)
{
    http2->now_ms = now_ms;
    for (struct http2_stream *stream = http2->streams; stream != NULL; stream = stream->next)
        if (now_ms >= stream->deadline_ms) {
            http2->counts.too_slow++;
            stream->deadline_ms = HTTP_NO_DEADLINE;
            nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
        }
}

static enum err start_session(struct http2 *http2, struct why *why)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, http2->config.streams_max },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEAD_BYTES_MAX },
    };
    bool ready = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0;
    if (ready) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKS_MAX);
        nghttp2_option_set_stream_reset_rate_limit(option, HTTP2_RESETS_BURST, HTTP2_RESETS_PER_S);
        ready = nghttp2_session_server_new2(&http2->session, callbacks, http2, option) == 0 &&
                nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
                nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0, HTTP2_WINDOW_BYTES) == 0;
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return ready ? OK : fail(why, ERR_ENV, "out of memory");
}

enum err http2_new(struct http2 **out, const struct http2_config *config, struct why *why)
{
    struct http2 *http2 = calloc(1, sizeof *http2);
    *out = NULL;
    if (http2 == NULL)
        return fail(why, ERR_ENV, "out of memory");
    http2->config = *config;
    http2->now_ms = clock_monotonic_ms();
    snprintf(http2->remote, sizeof http2->remote, "%s", config->remote);
    http2->inbox = http2_inbox_new(config->wake_fd);
    enum err err = http2->inbox == NULL ? fail(why, ERR_ENV, "out of memory") : start_session(http2, why);
    if (err == OK)
        *out = http2;
    else
        http2_free(http2);
    return err;
}

void http2_free(struct http2 *http2)
{
    if (http2 == NULL)
        return;
    struct http_request *list = NULL, *next;
    if (http2->inbox != NULL) {
        pthread_mutex_lock(&http2->inbox->lock);
        http2->inbox->closed = true;
        list = http2->inbox->first;
        pthread_mutex_unlock(&http2->inbox->lock);
    }
    for (; list != NULL; list = next) {
        next = list->next;
        http_request_release(list);
    }
    for (struct http2_stream *stream = http2->streams, *after; stream != NULL; stream = after) {
        after = stream->next;
        stream_free(http2, stream);
    }
    nghttp2_session_del(http2->session);
    http2_inbox_release(http2->inbox);
    buf_free(&http2->out);
    free(http2);
}

enum err http2_receive(struct http2 *http2, struct span bytes, struct why *why)
{
    ssize_t taken = nghttp2_session_mem_recv(http2->session, bytes.data, bytes.len);
    return taken >= 0 ? OK : fail(why, ERR_MALFORMED, "HTTP/2: %s", nghttp2_strerror((int)taken));
}

struct span http2_output(struct http2 *http2)
{
    if (http2->out_from == http2->out.len) {
        buf_clear(&http2->out);
        http2->out_from = 0;
    }
    const uint8_t *data;
    ssize_t len;
    while (http2->out.len < HTTP2_OUTPUT_BYTES && (len = nghttp2_session_mem_send(http2->session, &data)) > 0)
        buf_add(&http2->out, data, (size_t)len);
    return span_cut(span_buf(&http2->out), http2->out_from, http2->out.len - http2->out_from);
}

void http2_sent(struct http2 *http2, size_t bytes)
{
    http2->out_from += bytes;
}

void http2_ping(struct http2 *http2)
{
    nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL);
}

void http2_goaway(struct http2 *http2)
{
    nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(http2->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
}

bool http2_begun(const struct http2 *http2)
{
    return http2->begun;
}

bool http2_ended(const struct http2 *http2)
{
    return http2->out.failed || (nghttp2_session_want_read(http2->session) == 0 &&
                                 nghttp2_session_want_write(http2->session) == 0 && http2->out_from == http2->out.len);
}

void http2_counts(const struct http2 *http2, struct http2_counts *out)
{
    *out = http2->counts;
}
