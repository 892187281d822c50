#include "lib/sys/http_client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/sys/address.h"

enum { STEP_MS = 1000 };

struct http_client {
    struct http_client_config config;
    CURLM *multi;  /* whose connections all requests share */
    CURL *easy[2]; /* the second for http_get_both alone */
};

enum err http_client_system_start(struct why *why)
{
    /* A TLS library may write to a connection that its peer has closed. */
    signal(SIGPIPE, SIG_IGN);
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    return code == CURLE_OK ? OK : fail(why, ERR_ENV, "libcurl does not start: %s", curl_easy_strerror(code));
}

void http_response_clear(struct http_response *response)
{
    struct buf body = response->body;
    buf_clear(&body);
    body.failed = false;
    *response = (struct http_response){ .body = body };
}

void http_response_free(struct http_response *response)
{
    buf_free(&response->body);
    *response = (struct http_response){ 0 };
}

bool http_slist_add(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*list, header);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

/* `url` without "user:password@". */
static void url_shown(const char *url, char out[256])
{
    const char *start = strstr(url, "://");
    const char *host = start == NULL ? url : start + 3;
    const char *authority_end = host + strcspn(host, "/?#"), *at = host;
    for (const char *c = host; c < authority_end; c++)
        if (*c == '@')
            at = c + 1;
    snprintf(out, 256, "%.*s%s", (int)(host - url), url, at);
}

enum err http_url_fail(const char *url, const char *reason, struct why *why)
{
    char shown[256];
    url_shown(url, shown);
    return fail(why, ERR_ENV, "%s: %s", shown, reason);
}

/* A name may lead anywhere: what counts is the address that it was resolved to. */
static curl_socket_t open_public(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx, (void)purpose;
    if (!address_public(&address->addr))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype, address->protocol);
    return fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ? (close(fd), CURL_SOCKET_BAD) : fd;
}

/* What is read without end, or waits for a writer, is no file of a cache, and no time-out ends that wait. */
enum err http_file_open(const char *url, int *fd, uint64_t *bytes, struct why *why)
{
    CURLU *parts = curl_url();
    char *path = NULL;
    struct stat st;
    enum err err = OK;
    *fd = -1;
    if (parts == NULL)
        return fail(why, ERR_ENV, "out of memory");
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(parts, CURLUPART_PATH, &path, CURLU_URLDECODE);
    if (code != CURLUE_OK)
        err = http_url_fail(url, curl_url_strerror(code), why);
    else if ((*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
        err = errno == ENOENT || errno == ENOTDIR || errno == EACCES ? OK : http_url_fail(url, strerror(errno), why);
    else if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode))
        err = http_url_fail(url, "no regular file", why);
    else
        *bytes = (uint64_t)st.st_size;
    if (err != OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    curl_free(path);
    curl_url_cleanup(parts);
    return err;
}

/* libcurl opens and reads a file:// URL as it stands there; that it leads nowhere is libcurl's to tell. */
static enum err check_file(const char *url, struct why *why)
{
    int fd;
    uint64_t bytes;
    enum err err = http_file_open(url, &fd, &bytes, why);
    if (fd >= 0)
        close(fd);
    return err;
}

enum err http_easy_setup(CURL *easy, const struct http_client_config *config, const char *url, struct why *why)
{
    long connect_ms = config->connect_timeout_ms != 0 ? (long)config->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
    curl_easy_reset(easy);
    const char *protocols = config->public_only ? "https" : config->allow_file ? "http,https,file" : "http,https";
    CURLcode codes[] = {
        curl_easy_setopt(easy, CURLOPT_URL, url),
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols),
        config->public_only ? curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_public) : CURLE_OK,
        config->public_only ? curl_easy_setopt(easy, CURLOPT_PROXY, "") : CURLE_OK,
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms),
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "stele/" STELE_VERSION),
        curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L),
        config->gzip ? curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") : CURLE_OK,
        config->netrc_file == NULL ? CURLE_OK : curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL),
        config->netrc_file == NULL ? CURLE_OK : curl_easy_setopt(easy, CURLOPT_NETRC_FILE, config->netrc_file),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] != CURLE_OK)
            return http_url_fail(url, curl_easy_strerror(codes[i]), why);
    return config->allow_file && strncmp(url, "file:", 5) == 0 ? check_file(url, why) : OK;
}

enum err http_easy_post(CURL *easy, const char *content_type, struct span body, struct curl_slist **headers, struct why *why)
{
    char type[160];
    snprintf(type, sizeof type, "Content-Type: %s", content_type);
    /* Without "Expect:" curl waits for a 100-continue before a larger body: a round trip that our peers do not need. */
    if (!http_slist_add(headers, type) || !http_slist_add(headers, "Expect:") ||
        curl_easy_setopt(easy, CURLOPT_POST, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.len == 0 ? "" : (const char *)body.data) != CURLE_OK)
        return fail(why, ERR_ENV, "out of memory");
    return OK;
}

static size_t gather_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_gather *gather = ctx;
    size_t len = size * n;
    gather->too_large = len > gather->bytes_max - gather->response->body.len;
    if (gather->too_large)
        return CURL_WRITEFUNC_ERROR;
    buf_add(&gather->response->body, data, len);
    return gather->response->body.failed ? CURL_WRITEFUNC_ERROR : len;
}

static size_t count_header(char *data, size_t size, size_t n, void *ctx)
{
    struct http_gather *gather = ctx;
    (void)data;
    gather->header_bytes += size * n;
    gather->headers_too_large = gather->header_bytes > HTTP_HEADER_BYTES_MAX;
    return gather->headers_too_large ? CURL_WRITEFUNC_ERROR : size * n;
}

void http_easy_gather(CURL *easy, struct http_gather *gather)
{
    http_response_clear(gather->response);
    gather->too_large = gather->headers_too_large = false;
    gather->header_bytes = 0;
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, count_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, gather);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, gather_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, gather);
}

/* The value of the last response's header, NULL where it has none. */
static const char *header_value(CURL *easy, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static void copy_header(CURL *easy, const char *name, char *out, size_t max)
{
    const char *value = header_value(easy, name);
    if (value != NULL && strlen(value) < max)
        memcpy(out, value, strlen(value) + 1);
}

static uint64_t header_number(CURL *easy, const char *name)
{
    const char *value = header_value(easy, name);
    uint64_t number;
    return value != NULL && span_decimal(span_str(value), UINT32_MAX, &number) ? number : 0;
}

enum err http_easy_end(CURL *easy, CURLcode code, const char *url, struct http_gather *gather, struct why *why)
{
    struct http_response *response = gather->response;
    bool file = strncmp(url, "file:", 5) == 0;
    response->too_large = gather->too_large || gather->headers_too_large;
    if (gather->too_large) {
        char reason[64];
        snprintf(reason, sizeof reason, "the answer has more than %zu bytes", gather->bytes_max);
        return http_url_fail(url, reason, why);
    }
    if (gather->headers_too_large)
        return http_url_fail(url, "the answer's headers do not end", why);
    if (file && code == CURLE_FILE_COULDNT_READ_FILE) {
        response->status = 404;
        return OK;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return http_url_fail(url, HTTP_GIVEN_UP, why);
    if (code != CURLE_OK)
        return http_url_fail(url, curl_easy_strerror(code), why);
    long status = 0, connections = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    response->connections = (unsigned)connections;
    response->status = file ? 200 : (unsigned)status;
    if (file)
        return OK;
    copy_header(easy, "Content-Type", response->content_type, sizeof response->content_type);
    copy_header(easy, "Cache-Control", response->cache_control, sizeof response->cache_control);
    copy_header(easy, "Content-Encoding", response->content_encoding, sizeof response->content_encoding);
    copy_header(easy, "Location", response->location, sizeof response->location);
    const char *date = header_value(easy, "Date");
    time_t date_s = date == NULL ? -1 : curl_getdate(date, NULL);
    response->date_s = date_s > 0 ? (uint64_t)date_s : 0;
    curl_off_t seconds;
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
        response->retry_after_s = (uint64_t)seconds;
    response->answered = header_number(easy, "Stele-Answered");
    return OK;
}

enum err http_client_new(struct http_client **out, const struct http_client_config *config, struct why *why)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (client == NULL || (client->multi = curl_multi_init()) == NULL || (client->easy[0] = curl_easy_init()) == NULL ||
        (client->easy[1] = curl_easy_init()) == NULL) {
        http_client_free(client);
        return fail(why, ERR_ENV, "out of memory");
    }
    client->config = *config;
    *out = client;
    return OK;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    for (size_t i = 0; i < 2; i++)
        curl_easy_cleanup(client->easy[i]);
    curl_multi_cleanup(client->multi);
    free(client);
}

static bool stopping(const struct http_client *client)
{
    return client->config.stopping != NULL && *client->config.stopping;
}

/* Runs the first `n` transfers to their ends; codes[] says how each one went. */
static void perform(struct http_client *client, size_t n, CURLcode codes[2])
{
    CURLMcode code = CURLM_OK;
    int running = 0, left;
    for (size_t i = 0; i < n; i++) {
        codes[i] = CURLE_OUT_OF_MEMORY; /* unless its end is told below */
        CURLMcode added = curl_multi_add_handle(client->multi, client->easy[i]);
        code = code == CURLM_OK ? added : code;
    }
    if (code == CURLM_OK)
        code = curl_multi_perform(client->multi, &running);
    while (code == CURLM_OK && running > 0 && !stopping(client)) {
        code = curl_multi_poll(client->multi, NULL, 0, STEP_MS, NULL);
        if (code == CURLM_OK)
            code = curl_multi_perform(client->multi, &running);
    }
    for (size_t i = 0; i < n && stopping(client); i++)
        codes[i] = CURLE_ABORTED_BY_CALLBACK;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE)
            codes[message->easy_handle == client->easy[0] ? 0 : 1] = message->data.result;
    for (size_t i = 0; i < n; i++)
        curl_multi_remove_handle(client->multi, client->easy[i]);
}

/* What a request has besides its method: where it goes, and where the answer does. */
static enum err prepare(struct http_client *client, CURL *easy, const char *url, struct http_gather *gather, struct why *why)
{
    long total_ms = client->config.total_timeout_ms != 0 ? (long)client->config.total_timeout_ms : HTTP_TOTAL_TIMEOUT_MS;
    http_response_clear(gather->response);
    enum err err = http_easy_setup(easy, &client->config, url, why);
    if (err == OK) {
        http_easy_gather(easy, gather);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms);
    }
    return err;
}

/* One request; a GET where `content_type` is NULL, else of that method. */
static enum err request(struct http_client *client, const char *method, const char *url, const char *const *headers,
                        const char *content_type, struct span body, size_t bytes_max, struct http_response *response,
                        struct why *why)
{
    struct http_gather gather = { .response = response, .bytes_max = bytes_max };
    struct curl_slist *list = NULL;
    CURL *easy = client->easy[0];
    CURLcode code[2];
    enum err err = prepare(client, easy, url, &gather, why);
    if (err == OK && content_type != NULL)
        err = http_easy_post(easy, content_type, body, &list, why);
    if (err == OK && content_type != NULL && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) != CURLE_OK)
        err = fail(why, ERR_ENV, "out of memory");
    for (; err == OK && headers != NULL && *headers != NULL; headers++)
        if (!http_slist_add(&list, *headers))
            err = fail(why, ERR_ENV, "out of memory");
    if (err == OK) {
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
        perform(client, 1, code);
        err = http_easy_end(easy, code[0], url, &gather, why);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    return err;
}

void http_get_both(struct http_client *client, struct http_get gets[2])
{
    struct http_gather gathers[2];
    CURLcode codes[2];
    for (size_t i = 0; i < 2; i++) {
        gathers[i] = (struct http_gather){ .response = gets[i].response, .bytes_max = gets[i].bytes_max };
        gets[i].err = prepare(client, client->easy[i], gets[i].url, &gathers[i], &gets[i].why);
    }
    if (gets[0].err != OK || gets[1].err != OK) {
        /* Memory is short, or the URL is none. */
        for (size_t i = 0; i < 2; i++)
            if (gets[i].err == OK)
                gets[i].err = fail(&gets[i].why, ERR_ENV, "%s", gets[1 - i].why.text);
        return;
    }
    perform(client, 2, codes);
    for (size_t i = 0; i < 2; i++)
        gets[i].err = http_easy_end(client->easy[i], codes[i], gets[i].url, &gathers[i], &gets[i].why);
}

enum err http_get(struct http_client *client, const char *url, const char *const *headers, size_t bytes_max,
                  struct http_response *response, struct why *why)
{
    return request(client, "GET", url, headers, NULL, span_of(NULL, 0), bytes_max, response, why);
}

enum err http_post(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                   struct http_response *response, struct why *why)
{
    return request(client, "POST", url, NULL, content_type, body, bytes_max, response, why);
}

enum err http_put(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                  struct http_response *response, struct why *why)
{
    return request(client, "PUT", url, NULL, content_type, body, bytes_max, response, why);
}
