/*
 * HTTP over libcurl: no redirects unless allowed, time-outs for connection, silence and the whole, a bound on every body,
 * connections kept alive. Errors name the URL (without any password). Here are answers that are taken whole; http_stream.h has
 * bodies that are read as they come, http_calls.h many peers at once.
 */
#ifndef STELE_SYS_HTTP_CLIENT_H
#define STELE_SYS_HTTP_CLIENT_H

#include <stdatomic.h>

#include "lib/bytes.h"

/* Once per process, before threads. */
enum err http_client_system_start(struct why *why);

struct http_client; /* for one thread at a time */

struct http_client_config {
    unsigned connect_timeout_ms, total_timeout_ms; /* 0: 5 s and 30 s */
    const char *netrc_file;                        /* NULL: none */
    bool allow_file;                               /* file:// URLs as well */
    bool public_only;            /* https alone, without a proxy, and never to an address that is not public (lib/sys/address.h) */
    bool gzip;                   /* asked for; bounds are those of what is unpacked */
    const atomic_bool *stopping; /* once it is set, what is on its way fails within a second; NULL: none */
};

struct http_response {
    unsigned status; /* for file:// 200 or 404 */
    struct buf body;
    char content_type[128], cache_control[128], content_encoding[32]; /* empty where absent */
    uint64_t date_s;                                                  /* the peer's clock, by its Date header; 0 where absent */
    uint64_t retry_after_s;                                           /* 0 where absent; a date is turned into seconds from now */
    uint64_t answered;    /* Stele-Answered (spec/log.md); 0 where absent or no number */
    char location[2048];  /* of a redirect, empty otherwise */
    unsigned connections; /* opened for it: 0 where a kept-alive one served */
    bool too_large;       /* there was an answer, but its body or headers exceed their bound: the reason for ERR_ENV */
};
void http_response_free(struct http_response *response);

enum err http_client_new(struct http_client **out, const struct http_client_config *config, struct why *why);
void http_client_free(struct http_client *client);

/* Any HTTP status is OK here. ERR_ENV where there is no answer, the body exceeds `bytes_max`, or the headers 64 KiB. `response` is
 * emptied first and its memory used again. `headers` ends with NULL and may be NULL: "Name: value". */
enum err http_get(struct http_client *client, const char *url, const char *const *headers, size_t bytes_max,
                  struct http_response *response, struct why *why);
/* Two GETs at the same time, over a connection each, where the second does not depend on the first. Each has its own outcome, as
 * http_get gives it. */
struct http_get {
    const char *url;
    size_t bytes_max;
    struct http_response *response;
    enum err err;
    struct why why;
};
void http_get_both(struct http_client *client, struct http_get gets[2]);
enum err http_post(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                   struct http_response *response, struct why *why);
enum err http_put(struct http_client *client, const char *url, const char *content_type, struct span body, size_t bytes_max,
                  struct http_response *response, struct why *why);

#endif
