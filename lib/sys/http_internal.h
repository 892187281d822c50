/*
 * What the three files of the HTTP server share: http_server.c (socket, connections, start and stop), http_request.c (from
 * the first header to the whole request) and http_reply.c.
 */
#ifndef STELE_SYS_HTTP_INTERNAL_H
#define STELE_SYS_HTTP_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "lib/sys/http_server.h"

enum {
    HTTP_MEMORY_BYTES = 32 << 10,      /* libmicrohttpd's, for one connection: bounds a request's head */
    HTTP_BODIES_BYTES_MAX = 256 << 20, /* all request bodies held at once; beyond it 503 */
    HTTP_REPLY_BYTES_PER_S_MIN = 1024, /* a peer that reads a fixed reply slower than this is cut off */
    HTTP_TICK_MS = 250,                /* how exact deadlines are */
    HTTP_REMOTE_BYTES = 64,
};

#define HTTP_NO_DEADLINE UINT64_MAX

/* One accepted connection, from libmicrohttpd's first notice of it to the last. */
struct http_connection {
    struct http_connection *prev, *next;
    int fd;
    _Atomic uint64_t deadline_ms; /* shut down when it has passed */
    char remote[HTTP_REMOTE_BYTES];
};

struct http_server {
    struct http_server_config config;
    struct MHD_Daemon *daemon;
    int listen_fd, wake_fd;
    unsigned port;
    pthread_t acceptor;
    atomic_bool stopping;       /* new requests get 503 */
    _Atomic uint64_t now_ms;    /* monotonic, as of the acceptor's last tick */
    atomic_size_t requests;     /* under way */
    atomic_size_t bodies_bytes; /* held */
    pthread_mutex_t connections_lock;
    struct http_connection *connections;
    pthread_mutex_t deferred_lock;
    struct http_request *deferred; /* handed over and not answered yet */
    bool closing;                  /* nothing may be deferred any more */
};

/* Who holds a request: the thread in `handle`, whoever answers it later, or nobody any more because the server stops. */
enum http_state { HTTP_HANDLING, HTTP_DEFERRED, HTTP_ANSWERED, HTTP_ABANDONED };

struct http_decoded {
    struct http_decoded *next;
    char text[];
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL once the server gave the request up */
    struct http_connection *peer;
    struct http_request *prev, *next; /* in server->deferred, while */
    bool linked;                      /* which only libmicrohttpd's thread looks at */
    atomic_int references;            /* libmicrohttpd's, and that of whoever owes the answer */
    atomic_int state;
    sem_t answered;                /* thread_per_connection: what a deferred request's thread waits for */
    struct MHD_Response *response; /* with its status and size: set before the state becomes HTTP_ANSWERED */
    unsigned status;
    uint64_t reply_bytes;
    bool streams;
    bool refused, too_large, overloaded;
    struct buf body;
    struct http_decoded *decoded;
    char remote[HTTP_REMOTE_BYTES];
    struct span method, path;
    char text[]; /* both, each with a NUL */
};

/* http_request.c: libmicrohttpd's callbacks; `cls` is the server. */
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_len, void **context);
void http_on_completed(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code);
size_t http_on_unescape(void *cls, struct MHD_Connection *connection, char *text);
/* Gives up every deferred request: its connection is answered 503, its owner's answer will be dropped. */
void http_abandon_deferred(struct http_server *server);
void http_request_release(struct http_request *request);
/* Starts the connection's inactivity anew after we kept it waiting. */
void http_touch(struct http_request *request);

/* http_reply.c */
/* A problem details response; NULL where memory is short. */
struct MHD_Response *http_problem(unsigned status, unsigned retry_after_s, const char *detail);

#endif
