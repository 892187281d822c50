/*
 * What the files of the HTTP client share: the options that every transfer has, and how a response is gathered.
 */
#ifndef STELE_SYS_HTTP_CLIENT_INTERNAL_H
#define STELE_SYS_HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "lib/sys/http_client.h"

enum {
    HTTP_CONNECT_TIMEOUT_MS = 5 * 1000,
    HTTP_TOTAL_TIMEOUT_MS = 30 * 1000,
    HTTP_HEADER_BYTES_MAX = 64 << 10, /* of an answer, those of interim (1xx) ones included */
};

/* Why a transfer failed that its owner let go of. */
#define HTTP_GIVEN_UP "given up: this program ends"

/* A transfer whose body is gathered, up to a bound, and whose headers are counted: libcurl keeps them all. */
struct http_gather {
    struct http_response *response;
    size_t bytes_max, header_bytes;
    bool too_large, headers_too_large;
};

/* Resets `easy` (its connections stay) and sets what every transfer has, the URL included. */
enum err http_easy_setup(CURL *easy, const struct http_client_config *config, const char *url, struct why *why);
/* Makes `easy` a POST; `headers` is appended to, and `body` borrowed. */
enum err http_easy_post(CURL *easy, const char *content_type, struct span body, struct curl_slist **headers, struct why *why);
/* Makes `easy` put what it receives into gather->response, emptied first. */
void http_easy_gather(CURL *easy, struct http_gather *gather);
/* After the transfer ended with `code`: the rest of the response, or ERR_ENV. */
enum err http_easy_end(CURL *easy, CURLcode code, const char *url, struct http_gather *gather, struct why *why);
/* Opens what a file:// URL leads to, a regular file of so many bytes; *fd is -1 where nothing that can be read is there. */
enum err http_file_open(const char *url, int *fd, uint64_t *bytes, struct why *why);
/* ERR_ENV: the URL, without user and password, and the reason. */
enum err http_url_fail(const char *url, const char *reason, struct why *why);
void http_response_clear(struct http_response *response);
bool http_slist_add(struct curl_slist **list, const char *header);

#endif
