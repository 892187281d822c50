/*
 * An HTTP/2 server (RFC 9113) on one connection that is already there, over nghttp2: bytes in, bytes out, no socket. What comes is
 * handed to the same `handle` as what the HTTP/1.1 server takes (lib/sys/http_server.h), and answered by the same functions, from
 * any thread.
 *
 * Bounded: requests at once, heads, bodies, the time of a request and of its answer, resets and other floods (nghttp2's limits).
 */
#ifndef STELE_SYS_HTTP2_H
#define STELE_SYS_HTTP2_H

#include "lib/sys/http_server.h"

struct http2;

struct http2_config {
    size_t body_bytes_max;
    unsigned streams_max;       /* requests at once; above it refused */
    unsigned request_timeout_s; /* for a request to come whole, and for its answer to be taken */
    const char *remote;         /* the peer's address: copied */
    int wake_fd;                /* an eventfd of the caller's, written when an answer waits for http2_answers */
    void (*handle)(void *ctx, struct http_request *request); /* called from http2_receive */
    void *ctx;
};

/* For one thread, but for the answers. */
enum err http2_new(struct http2 **out, const struct http2_config *config, struct why *why);
/* Requests that are not answered yet are given up: their owners' answers are dropped. NULL is fine. */
void http2_free(struct http2 *http2);

/* Takes what the peer sent. ERR_MALFORMED where the connection must end. */
enum err http2_receive(struct http2 *http2, struct span bytes, struct why *why);
/* Takes the answers that were given since. */
void http2_answers(struct http2 *http2);
/* Cuts off requests that do not come whole, and answers that are not taken, in time. */
void http2_tick(struct http2 *http2, uint64_t now_ms);
/* What is to be sent, up to some 64 KiB; empty where there is nothing. Of it http2_sent says how much was. */
struct span http2_output(struct http2 *http2);
void http2_sent(struct http2 *http2, size_t bytes);
void http2_ping(struct http2 *http2);
/* Says that no further requests are taken. */
void http2_goaway(struct http2 *http2);
/* Has the peer begun to speak HTTP/2? Is nothing more to come, or to go? */
bool http2_begun(const struct http2 *http2);
bool http2_ended(const struct http2 *http2);

struct http2_counts {
    unsigned streams;  /* open */
    uint64_t requests; /* that came whole, as all that follow since the start: */
    uint64_t refused;  /* for their form or size, or because there were too many */
    uint64_t too_slow; /* cut off */
};
void http2_counts(const struct http2 *http2, struct http2_counts *out);

#endif
