#include "lib/sys/http_client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"

enum {
    STREAM_BYTES_MAX = 256 << 10, /* buffered between curl and the reader */
    STEP_MS = 1000,
};

struct http_stream {
    CURLM *multi;
    CURL *easy;
    char *url;
    unsigned silence_ms;
    struct buf data; /* received and, from `at` on, not read yet */
    size_t at;
    uint64_t heard_ms; /* when something last arrived */
    bool headers, paused, ended;
    CURLcode code;
};

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct http_stream *stream = ctx;
    long status = 0;
    stream->heard_ms = clock_monotonic_ms();
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
    /* The empty line ends the headers; those of a 100 are not the answer's. */
    if (size * n <= 2 && (data[0] == '\r' || data[0] == '\n') && status >= 200)
        stream->headers = true;
    return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_stream *stream = ctx;
    size_t len = size * n, held = stream->data.len - stream->at;
    stream->headers = true;
    stream->heard_ms = clock_monotonic_ms();
    if (held > 0 && len > STREAM_BYTES_MAX - held) {
        stream->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (held == 0) {
        buf_clear(&stream->data);
        stream->at = 0;
    } else if (stream->at >= STREAM_BYTES_MAX) {
        memmove(stream->data.data, stream->data.data + stream->at, held);
        stream->data.len = held;
        stream->at = 0;
    }
    buf_add(&stream->data, data, len);
    return stream->data.failed ? CURL_WRITEFUNC_ERROR : len;
}

/* Lets curl work, and waits for it where `wait`. ERR_ENV where it fails, or nothing has come for too long. */
static enum err step(struct http_stream *stream, bool wait, struct why *why)
{
    int running, left;
    CURLMcode code = CURLM_OK;
    if (wait)
        code = curl_multi_poll(stream->multi, NULL, 0, stream->silence_ms < STEP_MS ? (int)stream->silence_ms : STEP_MS, NULL);
    if (code == CURLM_OK)
        code = curl_multi_perform(stream->multi, &running);
    if (code != CURLM_OK)
        return http_url_fail(stream->url, curl_multi_strerror(code), why);
    for (CURLMsg *message; (message = curl_multi_info_read(stream->multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE) {
            stream->ended = true;
            stream->code = message->data.result;
        }
    if (!stream->ended && clock_monotonic_ms() - stream->heard_ms > stream->silence_ms)
        return http_url_fail(stream->url, "nothing came for too long", why);
    return OK;
}

enum err http_stream_open(struct http_stream **out, const struct http_client_config *config, const char *url, unsigned *status,
                          uint64_t *length, struct why *why)
{
    struct http_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return fail(why, ERR_ENV, "out of memory");
    stream->url = span_dup_str(span_str(url));
    stream->multi = curl_multi_init();
    stream->easy = curl_easy_init();
    stream->silence_ms = config->total_timeout_ms != 0 ? config->total_timeout_ms : HTTP_TOTAL_TIMEOUT_MS;
    stream->heard_ms = clock_monotonic_ms();
    enum err err = OK;
    if (stream->url == NULL || stream->multi == NULL || stream->easy == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = http_easy_setup(stream->easy, config, url, why);
    if (err == OK) {
        curl_easy_setopt(stream->easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(stream->easy, CURLOPT_HEADERDATA, stream);
        curl_easy_setopt(stream->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(stream->easy, CURLOPT_WRITEDATA, stream);
        if (curl_multi_add_handle(stream->multi, stream->easy) != CURLM_OK)
            err = http_url_fail(url, "libcurl does not take the request", why);
    }
    for (bool wait = false; err == OK && !stream->headers && !stream->ended; wait = true)
        err = step(stream, wait, why);
    bool file = strncmp(url, "file:", 5) == 0, absent = file && stream->ended && stream->code == CURLE_FILE_COULDNT_READ_FILE;
    if (err == OK && stream->ended && stream->code != CURLE_OK && stream->data.len == 0 && !absent)
        err = http_url_fail(url, curl_easy_strerror(stream->code), why);
    if (err != OK) {
        http_stream_close(stream);
        return err;
    }
    long code = 0;
    curl_off_t bytes = -1;
    curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(stream->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    if (absent)
        stream->code = CURLE_OK;
    *status = file ? (absent ? 404 : 200) : (unsigned)code;
    *length = bytes < 0 || absent ? UINT64_MAX : (uint64_t)bytes;
    *out = stream;
    return OK;
}

ptrdiff_t http_stream_read(struct http_stream *stream, uint8_t *out, size_t max, struct why *why)
{
    /* The time that the reader took to come back is not the peer's silence. */
    stream->heard_ms = clock_monotonic_ms();
    for (bool wait = false; stream->at == stream->data.len && !stream->ended; wait = true) {
        if (stream->paused) {
            stream->paused = false;
            curl_easy_pause(stream->easy, CURLPAUSE_CONT);
            wait = false;
        }
        if (step(stream, wait, why) != OK)
            return -1;
    }
    size_t held = stream->data.len - stream->at;
    if (held == 0) {
        if (stream->code == CURLE_OK)
            return 0;
        http_url_fail(stream->url, curl_easy_strerror(stream->code), why);
        return -1;
    }
    if (held > max)
        held = max;
    memcpy(out, stream->data.data + stream->at, held);
    stream->at += held;
    return (ptrdiff_t)held;
}

void http_stream_close(struct http_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->multi != NULL && stream->easy != NULL)
        curl_multi_remove_handle(stream->multi, stream->easy);
    curl_easy_cleanup(stream->easy);
    curl_multi_cleanup(stream->multi);
    buf_free(&stream->data);
    free(stream->url);
    free(stream);
}
