/*
 * HTTP over libcurl: no redirects unless allowed, time-outs for connection, silence and the whole, a bound on every body,
 * connections kept alive. Errors name the URL (without any password).
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
    const atomic_bool *stopping; /* a stream whose owner sets it fails within a second instead of waiting; NULL: none */
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

/* Bodies pulled piece by piece, one after the other, over kept-alive connections. For one thread at a time. Here
 * total_timeout_ms bounds a wait for the peer: in each such time of waiting at least 1 KiB a second must come. */
struct http_stream;
struct http_stream_head {
    unsigned status;      /* for file:// 200 or 404 */
    uint64_t length;      /* UINT64_MAX where unknown */
    char redirect[2048];  /* of a redirect: the whole URL that it leads to; empty otherwise */
    unsigned connections; /* opened for it: 0 where a kept-alive one served */
};
enum err http_stream_new(struct http_stream **out, const struct http_client_config *config, struct why *why);
void http_stream_free(struct http_stream *stream);
/* Sends a GET and waits for the status and headers. What was open before is closed. */
enum err http_stream_open(struct http_stream *stream, const char *url, struct http_stream_head *head, struct why *why);
/* The next bytes, in place until the next call: none at the whole body's end. ERR_ENV where it broke off. */
enum err http_stream_next(struct http_stream *stream, struct span *bytes, struct why *why);
/* Done with this body. Its connection is kept where it was read to its end. */
void http_stream_close(struct http_stream *stream);

/* Several peers asked at once over kept-alive connections, one request in flight a slot: how the log asks its witnesses.
 * Used by one thread, but for http_calls_wake. */
struct http_calls;
enum err http_calls_new(struct http_calls **out, size_t slots, struct why *why);
void http_calls_free(struct http_calls *calls);
bool http_calls_busy(const struct http_calls *calls, size_t slot);
/* Starts a request in an idle slot; `body` is copied. */
enum err http_calls_post(struct http_calls *calls, size_t slot, const char *url, struct span body, unsigned timeout_ms,
                         size_t bytes_max, struct why *why);
enum err http_calls_get(struct http_calls *calls, size_t slot, const char *url, unsigned timeout_ms, size_t bytes_max,
                        struct why *why);
/* Waits up to `timeout_ms` for something to happen, and calls `done` for each slot that ended: with a response, or with NULL
 * and why there is none. */
enum err http_calls_wait(struct http_calls *calls, unsigned timeout_ms,
                         void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                         void *ctx, struct why *why);
/* From another thread: ends a wait early. */
void http_calls_wake(struct http_calls *calls);

#endif
