/*
 * Bodies pulled piece by piece, one after the other, over kept-alive connections. For one thread at a time. Here total_timeout_ms
 * bounds a wait for the peer: in each such time of waiting at least 1 KiB a second must come.
 */
#ifndef STELE_SYS_HTTP_STREAM_H
#define STELE_SYS_HTTP_STREAM_H

#include "lib/sys/http_client.h"

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

#endif
