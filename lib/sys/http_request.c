#include "lib/sys/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Paths and arguments stay as they were sent; http_query decodes. */
size_t http_on_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strlen(text);
}

/* What frames a request, as counted over its headers. */
struct framing {
    unsigned hosts, lengths, encodings;
    bool bad_bytes, bad_length, chunked;
    uint64_t length;
};

/* libmicrohttpd takes "Content-Length :" for another header, and a bare CR for a part of a value; others do not. */
static bool bytes_wrong(const char *name, const char *value)
{
    for (; *name != '\0'; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f)
            return true;
    for (; value != NULL && *value != '\0'; value++)
        if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
            return true;
    return false;
}

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *framing = cls;
    (void)kind;
    framing->bad_bytes |= bytes_wrong(name, value);
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        framing->hosts++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->lengths++;
        framing->bad_length |= value == NULL || !span_decimal(span_str(value), INT64_MAX, &framing->length);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->encodings++;
        framing->chunked = value != NULL && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

/* Two parties that frame a request differently can be made to see different requests (RFC 9112 sections 3.2, 6.1, 6.3). What
 * is wrong with the head, or NULL. */
static const char *framing_wrong(const struct framing *framing, const char *version)
{
    if (framing->bad_bytes)
        return "a header has a space in its name or a control character in its value (RFC 9112 section 5)";
    if (framing->hosts != 1)
        return "a request has exactly one Host header (RFC 9112 section 3.2)";
    if (framing->lengths > 1 || framing->bad_length)
        return "a request has at most one Content-Length, a plain number (RFC 9112 section 6.3)";
    if (framing->encodings > 0 && framing->lengths > 0)
        return "a request has not both Content-Length and Transfer-Encoding (RFC 9112 section 6.1)";
    if (framing->encodings > 1 || (framing->encodings == 1 && (!framing->chunked || strcmp(version, MHD_HTTP_VERSION_1_1) != 0)))
        return "the only Transfer-Encoding is chunked, once, in HTTP/1.1 (RFC 9112 section 6.1)";
    return NULL;
}

static enum MHD_Result queue(struct http_request *request, unsigned status, struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result queue_problem(struct http_request *request, unsigned status, bool close, const char *detail)
{
    struct MHD_Response *response = http_problem(status, status == 503 ? 1 : 0, detail);
    if (response != NULL && close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return queue(request, status, response);
}

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *connection, struct http_connection *peer,
                                        const char *url, const char *method)
{
    size_t method_len = strlen(method), path_len = strlen(url);
    struct http_request *request = calloc(1, sizeof *request + method_len + path_len + 2);
    if (request == NULL)
        return NULL;
    request->server = server;
    request->connection = connection;
    request->peer = peer;
    request->references = 1;
    sem_init(&request->answered, 0, 0);
    memcpy(request->remote, peer->remote, sizeof request->remote);
    memcpy(request->text, method, method_len + 1);
    memcpy(request->text + method_len + 1, url, path_len + 1);
    request->method = span_of(request->text, method_len);
    request->path = span_of(request->text + method_len + 1, path_len);
    atomic_fetch_add(&server->requests, 1);
    return request;
}

void http_request_release(struct http_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) > 1)
        return;
    while (request->decoded != NULL) {
        struct http_decoded *next = request->decoded->next;
        free(request->decoded);
        request->decoded = next;
    }
    sem_destroy(&request->answered);
    buf_free(&request->body);
    free(request);
}

/* The head is there. A refusal is queued at once, before the body: libmicrohttpd then closes the connection, and asks for
 * no body that would not be read (100-continue). */
static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, void **context)
{
    struct http_connection *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct http_request *request = peer == NULL ? NULL : request_new(server, connection, peer, url, method);
    if (request == NULL)
        return MHD_NO;
    *context = request;
    uint64_t deadline_ms = atomic_load_explicit(&server->now_ms, memory_order_relaxed) + 1000ull * server->config.request_timeout_s;
    if (deadline_ms < atomic_load_explicit(&peer->deadline_ms, memory_order_relaxed))
        atomic_store_explicit(&peer->deadline_ms, deadline_ms, memory_order_relaxed);
    struct framing framing = { 0 };
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &framing);
    const char *wrong = framing_wrong(&framing, version);
    request->refused = true;
    if (wrong != NULL)
        return queue_problem(request, MHD_HTTP_BAD_REQUEST, true, wrong);
    if (atomic_load(&server->stopping))
        return queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, true, "the server is stopping");
    if (framing.lengths == 1 && framing.length > server->config.body_bytes_max)
        return queue_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, true, "the body is too large");
    request->refused = false;
    return MHD_YES;
}

/* A body that is too large is read on and dropped, so that its sender sees the answer; the deadline ends it. */
static void take_body(struct http_request *request, const char *data, size_t len)
{
    struct http_server *server = request->server;
    if (request->too_large || request->overloaded)
        return;
    request->too_large = len > server->config.body_bytes_max - request->body.len;
    if (!request->too_large && atomic_fetch_add(&server->bodies_bytes, len) + len > HTTP_BODIES_BYTES_MAX) {
        atomic_fetch_sub(&server->bodies_bytes, len);
        request->overloaded = true;
    }
    if (request->too_large || request->overloaded) {
        atomic_fetch_sub(&server->bodies_bytes, request->body.len);
        buf_free(&request->body);
        return;
    }
    size_t before = request->body.len;
    buf_add(&request->body, data, len);
    if (request->body.failed) {
        atomic_fetch_sub(&server->bodies_bytes, len + before);
        buf_free(&request->body);
        request->overloaded = true;
    }
}

static void link_deferred(struct http_request *request)
{
    struct http_server *server = request->server;
    request->next = server->deferred;
    if (request->next != NULL)
        request->next->prev = request;
    server->deferred = request;
    request->linked = true;
}

static void unlink_deferred(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->next != NULL)
        request->next->prev = request->prev;
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        server->deferred = request->next;
    request->linked = false;
}

/* Puts a request aside that `handle` did not answer. False where there is something to queue at once after all. */
static bool defer(struct http_request *request)
{
    struct http_server *server = request->server;
    int handling = HTTP_HANDLING;
    bool deferred = false, threads = server->config.thread_per_connection;
    pthread_mutex_lock(&server->deferred_lock);
    bool closing = server->closing;
    if (closing) {
        atomic_compare_exchange_strong(&request->state, &handling, HTTP_ABANDONED);
    } else {
        /* Suspended first: from the exchange on, another thread may resume. */
        if (!threads)
            MHD_suspend_connection(request->connection);
        link_deferred(request);
        deferred = atomic_compare_exchange_strong(&request->state, &handling, HTTP_DEFERRED);
        if (!deferred && !threads)
            MHD_resume_connection(request->connection);
    }
    pthread_mutex_unlock(&server->deferred_lock);
    while (threads && deferred && sem_wait(&request->answered) != 0)
        continue;
    return !threads && !closing;
}

/* The answer is known: takes it to libmicrohttpd. */
static enum MHD_Result finish(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->linked) {
        pthread_mutex_lock(&server->deferred_lock);
        unlink_deferred(request);
        pthread_mutex_unlock(&server->deferred_lock);
    }
    if (atomic_load(&request->state) == HTTP_ABANDONED)
        return queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, true, "the server is stopping");
    /* A streamed reply is as slow as its source; a peer that takes nothing of it meets the idle time-out. */
    if (!request->streams) {
        uint64_t ms = 1000ull * server->config.request_timeout_s + request->reply_bytes * 1000 / HTTP_REPLY_BYTES_PER_S_MIN;
        atomic_store_explicit(&request->peer->deadline_ms, atomic_load_explicit(&server->now_ms, memory_order_relaxed) + ms,
                              memory_order_relaxed);
    }
    struct MHD_Response *response = request->response;
    request->response = NULL;
    return queue(request, request->status, response);
}

void http_touch(struct http_request *request)
{
    /* Setting a time-out where there was none starts it anew; nothing else does. */
    if (request->server->config.idle_timeout_s == 0 || !request->server->config.thread_per_connection)
        return;
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, request->server->config.idle_timeout_s);
}

/* The whole request is there: hands it to the program. */
static enum MHD_Result hand_over(struct http_request *request)
{
    struct http_server *server = request->server;
    atomic_store_explicit(&request->peer->deadline_ms, HTTP_NO_DEADLINE, memory_order_relaxed);
    if (request->too_large || request->overloaded) {
        request->refused = true;
        return request->too_large ? queue_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, false, "the body is too large")
                                  : queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, true, "too many requests at once");
    }
    atomic_fetch_add(&request->references, 1);
    server->config.handle(server->config.ctx, request);
    if (atomic_load(&request->state) == HTTP_HANDLING && defer(request))
        return MHD_YES;
    http_touch(request);
    return finish(request);
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_len, void **context)
{
    struct http_request *request = *context;
    if (request == NULL)
        return begin(cls, connection, url, method, version, context);
    if (request->refused)
        return MHD_NO;
    if (*upload_len > 0) {
        take_body(request, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    return atomic_load(&request->state) == HTTP_HANDLING ? hand_over(request) : finish(request);
}

void http_on_completed(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct http_request *request = *context;
    (void)connection, (void)code;
    if (request == NULL)
        return;
    *context = NULL;
    uint64_t deadline_ms = atomic_load_explicit(&server->now_ms, memory_order_relaxed) +
                           1000ull * (server->config.idle_timeout_s + server->config.request_timeout_s);
    atomic_store_explicit(&request->peer->deadline_ms, deadline_ms, memory_order_relaxed);
    atomic_fetch_sub(&server->bodies_bytes, request->body.len);
    request->connection = NULL;
    request->peer = NULL;
    atomic_fetch_sub(&server->requests, 1);
    http_request_release(request);
}

void http_abandon_deferred(struct http_server *server)
{
    pthread_mutex_lock(&server->deferred_lock);
    server->closing = true;
    for (struct http_request *request = server->deferred; request != NULL; request = request->next) {
        int deferred = HTTP_DEFERRED;
        if (!atomic_compare_exchange_strong(&request->state, &deferred, HTTP_ABANDONED))
            continue;
        if (server->config.thread_per_connection)
            sem_post(&request->answered);
        else
            MHD_resume_connection(request->connection);
    }
    pthread_mutex_unlock(&server->deferred_lock);
}

struct span http_method(const struct http_request *request)
{
    return request->method;
}

struct span http_path(const struct http_request *request)
{
    return request->path;
}

struct span http_body(const struct http_request *request)
{
    return span_buf(&request->body);
}

const char *http_remote(const struct http_request *request)
{
    return request->remote;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return request->connection == NULL ? NULL : MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *http_query(const struct http_request *request, const char *name)
{
    struct MHD_Connection *connection = request->connection;
    const char *value = connection == NULL ? NULL : MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
    if (value == NULL || strchr(value, '%') == NULL)
        return value;
    struct http_decoded *decoded = malloc(sizeof *decoded + strlen(value) + 1);
    if (decoded == NULL)
        return NULL;
    char *out = decoded->text;
    for (const char *at = value; *at != '\0'; at++) {
        /* An escape that is none, or that of a NUL, stays as it is. */
        int high = *at == '%' ? hex_digit(at[1]) : -1, low = high >= 0 ? hex_digit(at[2]) : -1;
        bool escape = low >= 0 && high + low > 0;
        *out++ = escape ? (char)(high << 4 | low) : *at;
        at += escape ? 2 : 0;
    }
    *out = '\0';
    /* The list only keeps the memory until the request is freed; it is no part of what the request says. */
    struct http_request *keeper = (struct http_request *)(uintptr_t)request;
    decoded->next = keeper->decoded;
    keeper->decoded = decoded;
    return decoded->text;
}
