/*
 * An HTTP/1.1 server over libmicrohttpd, with its weak points closed (request smuggling forms, slow senders, missing
 * Host: 400 or closed). No TLS: a reverse proxy's work.
 *
 * `handle` is called once a request, when its whole body is there, on one of the server's threads. It answers at once, or
 * keeps the request and answers later from any thread: exactly one http_reply* for every request.
 */
#ifndef STELE_SYS_HTTP_SERVER_H
#define STELE_SYS_HTTP_SERVER_H

#include <stdatomic.h>

#include "lib/bytes.h"

struct http_server;
struct http_request;

struct http_server_config {
    const char *listen;         /* "127.0.0.1:7380", "[::1]:7380"; port 0 takes a free one */
    int listen_fd;              /* 0; or a socket that listens there already, of which a copy is used: it stays the caller's */
    bool thread_per_connection; /* for handlers that block and stream; otherwise a pool of epoll threads */
    unsigned threads;           /* of the pool */
    size_t body_bytes_max;      /* a larger body gets 413 */
    /* By address_party (lib/sys/address.h). Where there are more, those that wait longest for their next
     * request are closed; where all are being answered, the new ones. */
    unsigned connections_max, connections_per_ip_max;
    unsigned idle_timeout_s;    /* between requests, and without any progress */
    unsigned request_timeout_s; /* for a request to arrive whole, however it trickles */
    bool closes_for_5xx;        /* where the server itself would answer 5xx it closes the connection */
    atomic_bool *given_up; /* may be NULL; set when http_server_stop waits no longer: handlers are to end, unheard */
    void (*handle)(void *ctx, struct http_request *request);
    void *ctx;
};

/* *out is set before the first request comes. */
enum err http_server_start(struct http_server **out, const struct http_server_config *config, struct why *why);
unsigned http_server_port(const struct http_server *server);
/* `listen`, with the port that was taken. */
const char *http_server_address(const struct http_server *server);
int http_server_socket(const struct http_server *server); /* that listens; the server's */
/* Stops accepting, lets requests under way be answered for up to `grace_ms`, closes. Frees. What is not answered by then
 * gets 503; the answer that its owner still owes is dropped, and until then only its method, path, body and remote address
 * may be read. */
void http_server_stop(struct http_server *server, unsigned grace_ms);

/* From any thread. */
struct http_server_counts {
    unsigned connections, connections_max; /* open, and not cut off */
    size_t requests_now;                   /* under way */
    size_t bodies_bytes, replies_bytes;    /* held: of requests, and of large answers */
    uint64_t requests;                     /* since the start, as all that follow: that came whole */
    uint64_t malformed;                    /* heads refused */
    uint64_t cut_for_room, no_room;        /* connections closed for a new one, and new ones closed at once */
    uint64_t too_slow;                     /* connections closed at their deadline */
};
void http_server_counts(struct http_server *server, struct http_server_counts *out);

/* About a request; all borrowed until it is answered. */
struct span http_method(const struct http_request *request);
struct span http_path(const struct http_request *request); /* as sent, without the query */
struct span http_body(const struct http_request *request);
/* NULL where absent (a header's name in any case). */
const char *http_request_header(const struct http_request *request, const char *name);
/* Is there a header whose name begins so, in any case? Over HTTP/1.1 alone. */
bool http_request_has_any(const struct http_request *request, const char *prefix);
/* The value of query argument `name`, percent-decoded; NULL where absent. */
const char *http_query(const struct http_request *request, const char *name);
const char *http_remote(const struct http_request *request); /* the address, without port */
/* Who asks, as address_party (lib/sys/address.h) has it. What comes from the reverse proxy at address `proxy` (NULL for none) is
 * asked by the last address of its last X-Forwarded-For, the one that the proxy itself wrote; so is what comes by a bastion. */
uint64_t http_party(const struct http_request *request, const char *proxy);

struct http_header {
    const char *name, *value;
};

/* Answers with a copy of `body`. `headers` ends with a NULL name and may be NULL. HEAD is answered without the body, with
 * its length. */
void http_reply(struct http_request *request, unsigned status, const struct http_header *headers, struct span body);
/* The same without a copy: `body`'s memory is freed after it was sent; *body becomes empty. */
void http_reply_take(struct http_request *request, unsigned status, const struct http_header *headers, struct buf *body);
/* RFC 9457 problem details: {"type":"about:blank","title":…,"status":…,"detail":…}, with Retry-After where retry_after_s
 * is not 0. The title is the status's own phrase. */
void http_reply_problem(struct http_request *request, unsigned status, unsigned retry_after_s, const char *fmt, ...)
    STELE_PRINTF(4, 5);
/* 405: the path takes the methods `allow` alone, "GET, HEAD". */
void http_reply_method(struct http_request *request, const char *allow);

/* An answer that is made once and given many times, from any thread, for GET and HEAD alone. */
struct http_shared;
/* Takes the body. NULL where memory is short, or a header has a line break. To be released. */
struct http_shared *http_shared_new(unsigned status, const struct http_header *headers, struct buf *body);
struct http_shared *http_shared_keep(struct http_shared *shared);
void http_shared_release(struct http_shared *shared); /* NULL is fine */
void http_reply_shared(struct http_request *request, struct http_shared *shared);

/* A body pulled piece by piece (thread_per_connection only). `read` returns the bytes put into `out`, 0 at the end, -1 to
 * close the connection at once. `done` is called exactly once, also where the peer went away. */
struct http_source {
    ptrdiff_t (*read)(void *ctx, uint8_t *out, size_t max);
    void (*done)(void *ctx);
    void *ctx;
};
void http_reply_stream(struct http_request *request, unsigned status, const struct http_header *headers, uint64_t length,
                       const struct http_source *source);

#endif
