#include "lib/sys/http_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_client_internal.h"

enum {
    STREAM_BYTES_MAX = 256 << 10,   /* buffered between curl and the reader */
    STREAM_CHUNK_BYTES = 128 << 10, /* what curl receives at once */
    STREAM_BYTES_PER_S_MIN = 1024,
    STEP_MS = 1000,
};

struct http_stream {
    struct http_client_config config;
    CURLM *multi;
    CURL *easy;
    bool open;
    int file;           /* of a file:// URL, which libcurl cannot read piece by piece; or -1 */
    uint64_t file_left; /* bytes of it that were not read yet */
    char *url;
    struct buf data, shown; /* received and not shown yet; what the reader looks at */
    size_t header_bytes;
    uint64_t waited_ms, heard_bytes; /* in this span of waiting */
    bool headers, paused, ended;
    CURLcode code;
};

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct http_stream *stream = ctx;
    long status = 0;
    stream->heard_bytes += size * n;
    stream->header_bytes += size * n;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
    /* The empty line ends the headers; those of a 100 are not the answer's. */
    if (size * n <= 2 && (data[0] == '\r' || data[0] == '\n') && status >= 200)
        stream->headers = true;
    return stream->header_bytes > HTTP_HEADER_BYTES_MAX ? CURL_WRITEFUNC_ERROR : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_stream *stream = ctx;
    size_t len = size * n;
    stream->headers = true;
    if (stream->data.len > 0 && len > STREAM_BYTES_MAX - stream->data.len) {
        stream->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    stream->heard_bytes += len;
    buf_add(&stream->data, data, len);
    return stream->data.failed ? CURL_WRITEFUNC_ERROR : len;
}

static uint64_t timeout_ms(const struct http_stream *stream)
{
    return stream->config.total_timeout_ms != 0 ? stream->config.total_timeout_ms : HTTP_TOTAL_TIMEOUT_MS;
}

/* Only the time spent here counts: what the reader takes is not the peer's. */
static enum err wait(struct http_stream *stream, struct why *why)
{
    uint64_t from_ms = clock_monotonic_ms(), most_ms = timeout_ms(stream);
    CURLMcode code = curl_multi_poll(stream->multi, NULL, 0, most_ms < STEP_MS ? (int)most_ms : STEP_MS, NULL);
    stream->waited_ms += clock_monotonic_ms() - from_ms;
    if (code != CURLM_OK)
        return http_url_fail(stream->url, curl_multi_strerror(code), why);
    if (stream->config.stopping != NULL && *stream->config.stopping)
        return http_url_fail(stream->url, HTTP_GIVEN_UP, why);
    if (stream->waited_ms < most_ms)
        return OK;
    if (stream->heard_bytes < STREAM_BYTES_PER_S_MIN * most_ms / 1000)
        return http_url_fail(stream->url, stream->heard_bytes == 0 ? "nothing came for too long" : "it comes too slowly", why);
    stream->waited_ms = stream->heard_bytes = 0;
    return OK;
}

/* Lets curl work. ERR_ENV where it fails. */
static enum err work(struct http_stream *stream, struct why *why)
{
    int running, left;
    CURLMcode code = curl_multi_perform(stream->multi, &running);
    if (code != CURLM_OK)
        return http_url_fail(stream->url, curl_multi_strerror(code), why);
    for (CURLMsg *message; (message = curl_multi_info_read(stream->multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE) {
            stream->ended = true;
            stream->code = message->data.result;
        }
    return OK;
}

enum err http_stream_new(struct http_stream **out, const struct http_client_config *config, struct why *why)
{
    struct http_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return fail(why, ERR_ENV, "out of memory");
    stream->config = *config;
    stream->file = -1;
    stream->multi = curl_multi_init();
    stream->easy = curl_easy_init();
    if (stream->multi == NULL || stream->easy == NULL) {
        http_stream_free(stream);
        return fail(why, ERR_ENV, "out of memory");
    }
    *out = stream;
    return OK;
}

void http_stream_close(struct http_stream *stream)
{
    if (stream->open)
        curl_multi_remove_handle(stream->multi, stream->easy);
    stream->open = false;
    if (stream->file >= 0)
        close(stream->file);
    stream->file = -1;
    free(stream->url);
    stream->url = NULL;
    buf_free(&stream->data);
    buf_free(&stream->shown);
}

void http_stream_free(struct http_stream *stream)
{
    if (stream == NULL)
        return;
    http_stream_close(stream);
    curl_easy_cleanup(stream->easy);
    curl_multi_cleanup(stream->multi);
    free(stream);
}

/* Hands the request to curl. */
static enum err send_request(struct http_stream *stream, const char *url, struct why *why)
{
    stream->headers = stream->paused = false;
    stream->header_bytes = 0;
    stream->waited_ms = stream->heard_bytes = 0;
    if ((stream->url = span_dup_str(span_str(url))) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = http_easy_setup(stream->easy, &stream->config, url, why);
    if (err != OK)
        return err;
    curl_easy_setopt(stream->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(stream->easy, CURLOPT_HEADERDATA, stream);
    curl_easy_setopt(stream->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(stream->easy, CURLOPT_WRITEDATA, stream);
    curl_easy_setopt(stream->easy, CURLOPT_BUFFERSIZE, (long)STREAM_CHUNK_BYTES);
    stream->open = curl_multi_add_handle(stream->multi, stream->easy) == CURLM_OK;
    return stream->open ? OK : http_url_fail(url, "libcurl does not take the request", why);
}

static void read_head(const struct http_stream *stream, struct http_stream_head *head)
{
    long code = 0, connections = 0;
    curl_off_t bytes = -1;
    char *redirect = NULL;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(stream->easy, CURLINFO_NUM_CONNECTS, &connections);
    curl_easy_getinfo(stream->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    curl_easy_getinfo(stream->easy, CURLINFO_REDIRECT_URL, &redirect);
    *head = (struct http_stream_head){ .status = (unsigned)code,
                                       .length = bytes < 0 ? UINT64_MAX : (uint64_t)bytes,
                                       .connections = (unsigned)connections };
    if (redirect != NULL && strlen(redirect) < sizeof head->redirect)
        snprintf(head->redirect, sizeof head->redirect, "%s", redirect);
}

/* Only at its end does curl say where a redirect leads. */
static bool redirects(const struct http_stream *stream)
{
    long code = 0;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &code);
    return code >= 300 && code < 400;
}

static enum err open_file(struct http_stream *stream, const char *url, struct http_stream_head *head, struct why *why)
{
    *head = (struct http_stream_head){ .status = 200, .length = UINT64_MAX };
    enum err err = http_file_open(url, &stream->file, &head->length, why);
    if (err == OK && (stream->url = span_dup_str(span_str(url))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK && stream->file < 0)
        head->status = 404;
    stream->file_left = stream->file < 0 ? 0 : head->length;
    stream->ended = stream->file_left == 0;
    if (err != OK)
        http_stream_close(stream);
    return err;
}

enum err http_stream_open(struct http_stream *stream, const char *url, struct http_stream_head *head, struct why *why)
{
    http_stream_close(stream);
    stream->ended = false;
    stream->code = CURLE_OK;
    if (stream->config.allow_file && strncmp(url, "file:", 5) == 0)
        return open_file(stream, url, head, why);
    enum err err = send_request(stream, url, why);
    if (err == OK)
        err = work(stream, why);
    while (err == OK && !stream->ended && (!stream->headers || (redirects(stream) && !stream->paused))) {
        err = wait(stream, why);
        if (err == OK)
            err = work(stream, why);
    }
    if (err == OK && stream->ended && stream->code != CURLE_OK && stream->data.len == 0)
        err = http_url_fail(url, curl_easy_strerror(stream->code), why);
    if (err == OK)
        read_head(stream, head);
    else
        http_stream_close(stream);
    return err;
}

/* As large as it was when it was opened. */
static enum err read_file(struct http_stream *stream, struct why *why)
{
    size_t max = stream->file_left < STREAM_CHUNK_BYTES ? (size_t)stream->file_left : STREAM_CHUNK_BYTES;
    uint8_t *room = buf_grow(&stream->data, max);
    if (room == NULL)
        return fail(why, ERR_ENV, "out of memory");
    ssize_t got = read(stream->file, room, max);
    stream->data.len = got > 0 ? (size_t)got : 0;
    stream->file_left -= stream->data.len;
    stream->ended = stream->file_left == 0;
    return got > 0 ? OK : http_url_fail(stream->url, got < 0 ? strerror(errno) : "it became shorter while it was read", why);
}

enum err http_stream_next(struct http_stream *stream, struct span *bytes, struct why *why)
{
    enum err err = stream->file >= 0 && !stream->ended ? read_file(stream, why) : OK;
    for (bool waits = false; err == OK && stream->data.len == 0 && !stream->ended; waits = true) {
        if (stream->paused) {
            stream->paused = waits = false;
            curl_easy_pause(stream->easy, CURLPAUSE_CONT);
        }
        if (waits)
            err = wait(stream, why);
        if (err == OK)
            err = work(stream, why);
    }
    if (err == OK && stream->data.len == 0 && stream->code != CURLE_OK)
        err = http_url_fail(stream->url, curl_easy_strerror(stream->code), why);
    struct buf shown = stream->data;
    stream->data = stream->shown;
    stream->shown = shown;
    buf_clear(&stream->data);
    *bytes = err == OK ? span_buf(&stream->shown) : span_of(NULL, 0);
    return err;
}
