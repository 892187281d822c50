#include "lib/sys/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/sys/address.h"

/* Paths and arguments stay as they were sent; http_query decodes. */
size_t http_on_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strlen(text);
}

static void add_close(struct MHD_Response *response, bool close)
{
    if (close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result queue_problem(struct http_request *request, unsigned status, bool close, const char *detail)
{
    if (status >= 500 && request->server->config.closes_for_5xx)
        return MHD_NO;
    struct MHD_Response *response = http_problem(status, status == 503 ? 1 : 0, detail);
    if (response == NULL)
        return MHD_NO;
    add_close(response, close);
    enum MHD_Result queued = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* Of an absolute-form target the path: servers take it too (RFC 9112 section 3.2.2). */
static const char *target_path(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0)
        return url;
    const char *slash = strchr(url + scheme, '/');
    return slash == NULL ? "/" : slash;
}

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *connection, struct http_connection *peer,
                                        const char *url, const char *method)
{
    url = target_path(url);
    size_t method_len = strlen(method), path_len = strlen(url);
    struct http_request *request = calloc(1, sizeof *request + method_len + path_len + 2);
    if (request == NULL)
        return NULL;
    request->server = server;
    request->connection = connection;
    request->resumes = server->config.thread_per_connection ? NULL : connection;
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
    http_drop_response(request); /* of a peer that went away before it */
    if (request->inbox != NULL)
        http2_request_free(request);
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
    struct http_head head;
    http_head_read(&head, connection, peer, method, version);
    request->chunked = head.chunked;
    request->refused = true;
    if (head.wrong != NULL) {
        atomic_fetch_add(&server->counts.malformed, 1);
        return queue_problem(request, MHD_HTTP_BAD_REQUEST, true, head.wrong);
    }
    if (head.chunked && !span_is(request->method, "POST"))
        return queue_problem(request, MHD_HTTP_BAD_REQUEST, true, "only what is posted has chunks here");
    if (atomic_load(&server->stopping))
        return queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, true, "the server is stopping");
    if (head.has_length && head.length > server->config.body_bytes_max)
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

/* Answered, or its peer has gone: libmicrohttpd then ends a resumed request without asking for its answer. */
static void unlink_deferred(struct http_request *request)
{
    struct http_server *server = request->server;
    if (!request->linked)
        return;
    pthread_mutex_lock(&server->deferred_lock);
    if (request->next != NULL)
        request->next->prev = request->prev;
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        server->deferred = request->next;
    request->linked = false;
    pthread_mutex_unlock(&server->deferred_lock);
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

/* Large replies are held until they were read: all together they have a bound. */
static bool room_for_reply(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->reply_bytes < HTTP_LARGE_REPLY_BYTES || request->shared != NULL || request->streams)
        return true;
    size_t bytes = (size_t)request->reply_bytes;
    if (atomic_fetch_add(&server->replies_bytes, bytes) + bytes > HTTP_REPLIES_BYTES_MAX) {
        atomic_fetch_sub(&server->replies_bytes, bytes);
        return false;
    }
    request->large_bytes = bytes;
    atomic_store_explicit(&request->peer->large_reply_ms, atomic_load_explicit(&server->now_ms, memory_order_relaxed),
                          memory_order_relaxed);
    return true;
}

/* The answer is known: takes it to libmicrohttpd. */
static enum MHD_Result finish(struct http_request *request)
{
    struct http_server *server = request->server;
    unlink_deferred(request);
    /* What a handler says that was told to end does not count: what was not found in time is not absent. */
    bool given_up = server->config.given_up != NULL && *server->config.given_up;
    if (atomic_load(&request->state) == HTTP_ABANDONED || given_up)
        return queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, true, "the server is stopping");
    /* A streamed reply is as slow as its source; a peer that takes nothing of it meets the idle time-out. */
    if (!request->streams) {
        uint64_t ms = 1000ull * server->config.request_timeout_s + request->reply_bytes * 1000 / HTTP_REPLY_BYTES_PER_S_MIN;
        atomic_store_explicit(&request->peer->deadline_ms, atomic_load_explicit(&server->now_ms, memory_order_relaxed) + ms,
                              memory_order_relaxed);
    }
    if (!room_for_reply(request)) {
        http_drop_response(request);
        return queue_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, request->chunked, "too many large answers at once");
    }
    if (request->response == NULL)
        return MHD_NO;
    /* A shared answer is for requests without a body. */
    add_close(request->response, request->chunked);
    enum MHD_Result queued = MHD_queue_response(request->connection, request->status, request->response);
    http_drop_response(request);
    return queued;
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
    atomic_fetch_add_explicit(&request->peer->turns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->counts.requests, 1, memory_order_relaxed);
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
    unlink_deferred(request);
    uint64_t deadline_ms = atomic_load_explicit(&server->now_ms, memory_order_relaxed) +
                           1000ull * (server->config.idle_timeout_s + server->config.request_timeout_s);
    struct http_connection *peer = request->peer;
    atomic_store_explicit(&peer->deadline_ms, deadline_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->large_reply_ms, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->turns, atomic_load_explicit(&peer->turns, memory_order_relaxed) % 2, memory_order_relaxed);
    atomic_fetch_sub(&server->bodies_bytes, request->body.len);
    if (request->large_bytes > 0)
        atomic_fetch_sub(&server->replies_bytes, request->large_bytes);
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
    if (request->inbox != NULL)
        return http2_field(&request->fields, name, false);
    return request->connection == NULL ? NULL : MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct beginning {
    const char *prefix;
    bool found;
};

static enum MHD_Result look_for(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct beginning *beginning = cls;
    (void)kind;
    (void)value;
    beginning->found = beginning->found || strncasecmp(name, beginning->prefix, strlen(beginning->prefix)) == 0;
    return MHD_YES;
}

bool http_request_has_any(const struct http_request *request, const char *prefix)
{
    struct beginning beginning = { prefix, false };
    if (request->connection != NULL)
        MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look_for, &beginning);
    return beginning.found;
}

static enum MHD_Result take_forwarded(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const char **last = cls;
    (void)kind;
    if (strcasecmp(name, "X-Forwarded-For") == 0)
        *last = value;
    return MHD_YES;
}

uint64_t http_party(const struct http_request *request, const char *proxy)
{
    uint64_t party = address_party(request->remote);
    const char *forwarded = NULL;
    if (request->inbox != NULL)
        forwarded = http2_field(&request->fields, "X-Forwarded-For", true);
    else if (proxy != NULL && request->connection != NULL && party == address_party(proxy))
        MHD_get_connection_values(request->connection, MHD_HEADER_KIND, take_forwarded, &forwarded);
    struct span list = span_str(forwarded == NULL ? "" : forwarded), address = list, blanks;
    for (ptrdiff_t comma; (comma = span_find(address, ',')) >= 0;)
        address = span_cut(address, (size_t)comma + 1, address.len - (size_t)comma - 1);
    char text[HTTP_REMOTE_BYTES] = "";
    blanks = address;
    if (span_word(&blanks, &address) && address.len < sizeof text)
        memcpy(text, address.data, address.len);
    uint64_t asking = address_party(text);
    return asking != 0 ? asking : party;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* An argument's value as it was sent. */
static bool find_argument(const struct http_request *request, const char *name, struct span *value)
{
    if (request->inbox == NULL) {
        const char *found =
            request->connection == NULL ? NULL : MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
        *value = span_str(found == NULL ? "" : found);
        return found != NULL;
    }
    struct span rest = span_str(request->query == NULL ? "" : request->query);
    while (rest.len > 0) {
        ptrdiff_t end = span_find(rest, '&');
        *value = end < 0 ? rest : span_cut(rest, 0, (size_t)end);
        rest = end < 0 ? span_cut(rest, rest.len, 0) : span_cut(rest, (size_t)end + 1, rest.len - (size_t)end - 1);
        if (span_skip(value, name) && span_skip(value, "="))
            return true;
    }
    return false;
}

const char *http_query(const struct http_request *request, const char *name)
{
    struct span value;
    if (!find_argument(request, name, &value))
        return NULL;
    struct http_decoded *decoded = malloc(sizeof *decoded + value.len + 1);
    if (decoded == NULL)
        return NULL;
    char *out = decoded->text;
    for (size_t i = 0; i < value.len; i++) {
        /* An escape that is none, or that of a NUL, stays as it is. */
        const char *at = (const char *)value.data + i;
        int high = *at == '%' && i + 2 < value.len ? hex_digit(at[1]) : -1, low = high >= 0 ? hex_digit(at[2]) : -1;
        bool escape = low >= 0 && high + low > 0;
        *out++ = escape ? (char)(high << 4 | low) : *at;
        i += escape ? 2 : 0;
    }
    *out = '\0';
    /* The list only keeps the memory until the request is freed; it is no part of what the request says. */
    struct http_request *keeper = (struct http_request *)(uintptr_t)request;
    decoded->next = keeper->decoded;
    keeper->decoded = decoded;
    return decoded->text;
}
