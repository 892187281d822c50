/*
 * What the files of the HTTP server share: http_server.c (socket, start and stop), http_peers.c (connections), http_head.c (is
 * a request's head in the one form?), http_request.c (from the first header to the whole request), http_reply.c, and http2*.c (the
 * same over HTTP/2).
 */
#ifndef STELE_SYS_HTTP_INTERNAL_H
#define STELE_SYS_HTTP_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "lib/sys/http_server.h"

enum {
    /* libmicrohttpd's, for one connection, wiped for each request: bounds a head. A look-up may name 256 builders. */
    HTTP_MEMORY_BYTES = 20 << 10,
    HTTP_BODIES_BYTES_MAX = 256 << 20,  /* all request bodies held at once; beyond it 503 */
    HTTP_LARGE_REPLY_BYTES = 64 << 10,  /* from here on a reply counts below: */
    HTTP_REPLIES_BYTES_MAX = 256 << 20, /* all large replies held at once; beyond it 503, above half slow readers are cut off */
    HTTP_REPLY_BYTES_PER_S_MIN = 8192,  /* a peer that reads a fixed reply slower than this is cut off */
    HTTP_ADDRESS_BUCKETS = 4096,
    HTTP_CONNECTIONS_SLACK = 512, /* that were cut off, or will be, and are still open */
    HTTP_TICK_MS = 250,           /* how exact deadlines are */
    HTTP_REMOTE_BYTES = 64,

    /* One connection over HTTP/2. */
    HTTP2_HEAD_BYTES_MAX = 16 << 10,  /* of a request, 32 more for each header; beyond it 431 */
    HTTP2_BODIES_BYTES_MAX = 8 << 20, /* all request bodies held at once; beyond it 503 */
    HTTP2_WINDOW_BYTES = 1 << 20,     /* what may be under way */
    HTTP2_OUTPUT_BYTES = 64 << 10,
    HTTP2_REPLY_FIELDS_MAX = 16,
    HTTP2_ACKS_MAX = 1000, /* owed for PING and SETTINGS: above it the connection ends */
    HTTP2_RESETS_BURST = 1000,
    HTTP2_RESETS_PER_S = 33,
};

#define HTTP_NO_DEADLINE UINT64_MAX

struct http_address;
struct http_connection;

/* Connections in a line; each stands in two: that of all, and that of its address. */
enum http_line_kind { HTTP_OF_ALL, HTTP_OF_ADDRESS, HTTP_LINES };
struct http_line {
    struct http_connection *first, *last;
    unsigned n;
};
struct http_place {
    struct http_connection *prev, *next;
    unsigned turns; /* the connection's, when it was put here */
};

/* One accepted connection, from libmicrohttpd's first notice of it to the last. */
struct http_connection {
    struct http_place places[HTTP_LINES]; /* while `address` is not NULL, under the server's connections_lock */
    struct http_address *address;
    int fd;
    uint64_t party;                  /* address_party of its address */
    _Atomic uint64_t deadline_ms;    /* shut down when it has passed */
    _Atomic uint64_t large_reply_ms; /* since when a large reply is being sent; 0 for none */
    atomic_uint turns;               /* even: waits for a request; odd: its request is being answered */
    uintptr_t target_at;             /* where the target of the request at hand lies, as sent */
    size_t target_len;
    bool target_wrong; /* it has characters that no URI has */
    char remote[HTTP_REMOTE_BYTES];
};

struct http_counts {
    atomic_uint connections; /* from accept to close */
    atomic_ullong requests, malformed, cut_for_room, no_room, too_slow;
};

struct http_server {
    struct http_server_config config;
    struct MHD_Daemon *daemon;
    int listen_fd, wake_fd;
    unsigned port;
    char address[256 + 8]; /* `listen`, with that port */
    pthread_t acceptor;
    atomic_bool stopping;        /* new requests get 503 */
    _Atomic uint64_t now_ms;     /* monotonic, as of the acceptor's last tick */
    atomic_size_t requests;      /* under way */
    atomic_size_t bodies_bytes;  /* held */
    atomic_size_t replies_bytes; /* of large replies, held */
    struct http_counts counts;
    pthread_mutex_t connections_lock; /* for these: */
    struct http_line all;
    struct http_address *addresses[HTTP_ADDRESS_BUCKETS];
    uint64_t addresses_seed;
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

/* Where the answers to requests over HTTP/2 go, for their session's thread. It lasts until the last one is given. */
struct http2_inbox {
    pthread_mutex_t lock;
    struct http_request *first, **end;
    bool closed; /* the session is gone: what is answered is dropped */
    int wake_fd;
    atomic_uint references;
    atomic_size_t bodies_bytes; /* held */
    unsigned owed;              /* requests handed over and not answered; the session's thread's alone */
};

struct http_request {
    struct http_server *server;        /* over HTTP/1.1; then these, too: */
    struct MHD_Connection *connection; /* NULL once the server gave the request up */
    struct MHD_Connection *resumes;    /* the same, where its answer resumes it: unchanged by those who end the request meanwhile */
    struct http_connection *peer;
    struct http_request *prev, *next; /* in server->deferred, while */
    bool linked;                      /* which only libmicrohttpd's thread looks at */
    atomic_int references;            /* libmicrohttpd's, and that of whoever owes the answer */
    atomic_int state;
    sem_t answered;                /* thread_per_connection: what a deferred request's thread waits for */
    struct MHD_Response *response; /* with its status and size: set before the state becomes HTTP_ANSWERED */
    struct http_shared *shared;    /* whose response it is; NULL where it is this request's own */
    unsigned status;
    uint64_t reply_bytes;
    size_t large_bytes; /* of its reply, where it is a large one: counted in server->replies_bytes */
    bool streams;
    bool refused, too_large, overloaded;
    bool chunked; /* its connection is closed after it */
    struct buf body;
    /* Over HTTP/2 alone (http2.c), where `inbox` is not NULL: */
    struct http2_inbox *inbox;
    struct http2_stream *stream; /* NULL once it was reset; the session's thread's alone */
    struct buf fields;           /* each header: name, NUL, value, NUL */
    const char *query;           /* in `text`; NULL for none */
    struct buf reply, reply_fields;
    /* And in any case: */
    struct http_decoded *decoded;
    char remote[HTTP_REMOTE_BYTES];
    struct span method, path;
    char text[]; /* both, each with a NUL */
};

void http_wake_acceptor(struct http_server *server);
/* A server without a socket and without a thread, for a fuzz target: who calls this hands connections to ->daemon, and lets it run
 * (MHD_add_connection, MHD_run). */
enum err http_server_start_unthreaded(struct http_server **out, const struct http_server_config *config, struct why *why);

/* http_peers.c */
bool http_peers_init(struct http_server *server);
void http_peers_free(struct http_server *server);
/* libmicrohttpd's callback; `cls` is the server. */
void http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
/* Shuts down what is past its deadline: libmicrohttpd's time-out is one of inactivity, and a byte now and then keeps a
 * connection open for ever. A new one, and one between two requests, must bring a whole request within the idle time and the
 * request time together. False where there is no connection. */
bool http_peers_reap(struct http_server *server);

/* http_head.c */
struct http_head {
    const char *wrong; /* what is wrong with it, and where that is said; or NULL */
    bool chunked;
    bool has_length;
    uint64_t length; /* where has_length */
};
/* libmicrohttpd's callback for a request line; `cls` is not used. */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection);
void http_head_read(struct http_head *out, struct MHD_Connection *connection, const struct http_connection *peer,
                    const char *method, const char *version);

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

/* http2_reply.c */
struct http2_inbox *http2_inbox_new(int wake_fd);
void http2_inbox_release(struct http2_inbox *inbox); /* NULL is fine */
/* Fields in a row, as http_request.fields has them: appended, and taken off the front. */
void http2_put_field(struct buf *out, struct span name, struct span value);
bool http2_next_field(struct span *rest, const char **name, const char **value);
/* Answers; takes the body. */
void http2_reply(struct http_request *request, unsigned status, const struct http_header *headers, struct buf *body);
/* A header's value, of the first or the last one of this name, NULL where there is none. */
const char *http2_field(const struct buf *fields, const char *name, bool last);
/* Frees what a request over HTTP/2 holds. */
void http2_request_free(struct http_request *request);

/* http_reply.c */
/* Ends the request's hold on its response. */
void http_drop_response(struct http_request *request);
/* A problem details response; NULL where memory is short. */
struct MHD_Response *http_problem(unsigned status, unsigned retry_after_s, const char *detail);

#endif
