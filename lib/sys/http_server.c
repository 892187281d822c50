#include "lib/sys/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "lib/sys/clock.h"

enum { LISTEN_BACKLOG = 1024, ACCEPTS_A_ROUND = 256, STOP_POLL_MS = 10, CROWDED_MS = 10 };

/* Splits "ADDRESS:PORT"; an IPv6 address stands in brackets. */
static bool split_listen(const char *listen, char address[256], char port[8])
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon == listen || strlen(colon + 1) < 1 || strlen(colon + 1) > 5)
        return false;
    struct span host = span_of(listen, (size_t)(colon - listen));
    if (host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = span_cut(host, 1, host.len - 2);
    else if (span_find(host, ':') >= 0)
        return false;
    uint64_t number;
    if (host.len == 0 || host.len > 255 || !span_decimal(span_str(colon + 1), 65535, &number))
        return false;
    memcpy(address, host.data, host.len);
    address[host.len] = '\0';
    snprintf(port, 8, "%u", (unsigned)number);
    return true;
}

/* A socket of our own that listens at `listen_text`. */
static enum err bind_to(int *out, const char *listen_text, struct why *why)
{
    char address[256], port[8];
    if (!split_listen(listen_text, address, port))
        return fail(why, ERR_USAGE, "cannot listen on `%s`: wanted ADDRESS:PORT or [ADDRESS]:PORT", listen_text);
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *found = NULL;
    int code = getaddrinfo(address, port, &hints, &found);
    if (code != 0)
        return fail(why, ERR_ENV, "cannot listen on %s: %s", listen_text, gai_strerror(code));
    int on = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool listening = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    int error = errno;
    freeaddrinfo(found);
    if (!listening) {
        if (fd >= 0)
            close(fd);
        return fail(why, ERR_ENV, "cannot listen on %s: %s", listen_text, strerror(error));
    }
    *out = fd;
    return OK;
}

static enum err listen_on(struct http_server *server, struct why *why)
{
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof bound;
    int handed = server->config.listen_fd;
    enum err err = OK;
    if (handed == 0)
        err = bind_to(&server->listen_fd, server->config.listen, why);
    else if ((server->listen_fd = fcntl(handed, F_DUPFD_CLOEXEC, 0)) < 0 || fcntl(handed, F_SETFL, O_NONBLOCK) != 0)
        err = fail(why, ERR_ENV, "cannot listen on the socket that was handed over: %s", strerror(errno));
    if (err == OK && getsockname(server->listen_fd, (struct sockaddr *)&bound, &bound_len) != 0)
        err = fail(why, ERR_ENV, "cannot tell where the server listens: %s", strerror(errno));
    if (err != OK)
        return err;
    server->port =
        ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    const char *listen_text = server->config.listen, *colon = strrchr(listen_text, ':');
    snprintf(server->address, sizeof server->address, "%.*s:%u", colon == NULL ? 0 : (int)(colon - listen_text), listen_text,
             server->port);
    return OK;
}

void http_wake_acceptor(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t woken = write(server->wake_fd, &one, sizeof one);
    (void)woken; /* an eventfd that is full wakes as well */
}

/* Are so many connections open that some must be closed first? Those that were cut off are, in a moment. This is the limit that
 * holds: where libmicrohttpd 0.9.75 meets its own, it keeps a lock, and stands still for ever. */
static bool crowded(struct http_server *server)
{
    return atomic_load(&server->counts.connections) >= server->config.connections_max + HTTP_CONNECTIONS_SLACK;
}

/* Returns false where there is no room, or the system has no descriptor left: then to wait is better than to try again. */
static bool accept_some(struct http_server *server)
{
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        if (crowded(server))
            return false;
        struct sockaddr_storage from;
        socklen_t from_len = sizeof from;
        int fd = accept(server->listen_fd, (struct sockaddr *)&from, &from_len);
        if (fd < 0)
            return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        /* Makes the socket non-blocking and not inheritable; closes it where memory is short. */
        atomic_fetch_add(&server->counts.connections, 1);
        if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&from, from_len) != MHD_YES)
            atomic_fetch_sub(&server->counts.connections, 1);
    }
    return true;
}

/* Accepts for all of the pool: left to itself it shares the listening socket unevenly. */
static void *accept_loop(void *ctx)
{
    struct http_server *server = ctx;
    bool any = false, room = true;
    uint64_t reap_ms = 0, wakes;
    while (!atomic_load(&server->stopping)) {
        struct pollfd wait[2] = { { .fd = server->wake_fd, .events = POLLIN },
                                  { .fd = server->listen_fd, .events = room ? POLLIN : 0 } };
        int ready = poll(wait, 2, !room ? CROWDED_MS : any ? HTTP_TICK_MS : -1);
        atomic_store(&server->now_ms, clock_monotonic_ms());
        room = wait[1].revents == 0 ? !crowded(server) : accept_some(server);
        bool woken = ready > 0 && read(server->wake_fd, &wakes, sizeof wakes) > 0;
        if (woken || server->now_ms >= reap_ms) {
            any = http_peers_reap(server);
            reap_ms = server->now_ms + HTTP_TICK_MS;
        }
    }
    return NULL;
}

/* Takes the C library's place, for libmicrohttpd 0.9.75: where epoll_wait gives it as many events as it has room for (128), it asks
 * again before it looks at any of them, and for as long as before: for ever, where no connection has a time-out to wait for. When
 * 128 clients, or 256, ask in step, all of them are then kept waiting until somebody else comes. So no wait follows a full
 * answer. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int events_max, int timeout_ms)
{
    static _Thread_local int full_fd = -1;
    int n = epoll_pwait(epoll_fd, events, events_max, full_fd == epoll_fd ? 0 : timeout_ms, NULL);
    full_fd = n == events_max ? epoll_fd : -1;
    return n;
}

static unsigned loop_flags(const struct http_server_config *config)
{
    return config->thread_per_connection ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION
                                         : MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
}

static enum err start_daemon(struct http_server *server, unsigned loop, struct why *why)
{
    const struct http_server_config *config = &server->config;
    unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_TURBO | loop;
    struct MHD_OptionItem pool[2] = { { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL } };
    if (!config->thread_per_connection && config->threads > 1)
        pool[0] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, config->threads, NULL };
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, http_on_request, server, MHD_OPTION_ARRAY, pool, MHD_OPTION_NOTIFY_COMPLETED,
                         http_on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, server,
                         MHD_OPTION_UNESCAPE_CALLBACK, http_on_unescape, server, MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, NULL,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_BYTES, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)INT_MAX, MHD_OPTION_CONNECTION_TIMEOUT, config->idle_timeout_s, MHD_OPTION_END);
    return server->daemon != NULL ? OK : fail(why, ERR_ENV, "the HTTP server does not start: %s", strerror(errno));
}

static void server_free(struct http_server *server)
{
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    http_peers_free(server);
    pthread_mutex_destroy(&server->deferred_lock);
    free(server);
}

static enum err server_new(struct http_server **out, const struct http_server_config *config, struct why *why)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return fail(why, ERR_ENV, "out of memory");
    server->config = *config;
    server->listen_fd = -1;
    server->now_ms = clock_monotonic_ms();
    pthread_mutex_init(&server->deferred_lock, NULL);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!http_peers_init(server) || server->wake_fd < 0) {
        server_free(server);
        return fail(why, ERR_ENV, "the HTTP server does not start: %s", strerror(errno));
    }
    *out = server;
    return OK;
}

enum err http_server_start_unthreaded(struct http_server **out, const struct http_server_config *config, struct why *why)
{
    enum err err = server_new(out, config, why);
    return err == OK ? start_daemon(*out, MHD_ALLOW_SUSPEND_RESUME, why) : err;
}

enum err http_server_start(struct http_server **out, const struct http_server_config *config, struct why *why)
{
    struct http_server *server;
    enum err err = server_new(&server, config, why);
    if (err != OK)
        return err;
    *out = server; /* before the first thread that handles a request */
    err = listen_on(server, why);
    if (err == OK)
        err = start_daemon(server, loop_flags(config), why);
    if (err == OK && pthread_create(&server->acceptor, NULL, accept_loop, server) != 0)
        err = fail(why, ERR_ENV, "the HTTP server's thread does not start");
    if (err != OK) {
        *out = NULL;
        server_free(server);
    }
    return err;
}

unsigned http_server_port(const struct http_server *server)
{
    return server->port;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

int http_server_socket(const struct http_server *server)
{
    return server->listen_fd;
}

void http_server_counts(struct http_server *server, struct http_server_counts *out)
{
    pthread_mutex_lock(&server->connections_lock);
    unsigned connections = server->all.n;
    pthread_mutex_unlock(&server->connections_lock);
    *out = (struct http_server_counts){
        .connections = connections,
        .connections_max = server->config.connections_max,
        .requests_now = atomic_load(&server->requests),
        .bodies_bytes = atomic_load(&server->bodies_bytes),
        .replies_bytes = atomic_load(&server->replies_bytes),
        .requests = atomic_load(&server->counts.requests),
        .malformed = atomic_load(&server->counts.malformed),
        .cut_for_room = atomic_load(&server->counts.cut_for_room),
        .no_room = atomic_load(&server->counts.no_room),
        .too_slow = atomic_load(&server->counts.too_slow),
    };
}

void http_server_stop(struct http_server *server, unsigned grace_ms)
{
    atomic_store(&server->stopping, true);
    http_wake_acceptor(server);
    pthread_join(server->acceptor, NULL);
    close(server->listen_fd);
    server->listen_fd = -1;
    uint64_t end_ms = clock_monotonic_ms() + grace_ms;
    while (atomic_load(&server->requests) > 0 && clock_monotonic_ms() < end_ms)
        poll(NULL, 0, STOP_POLL_MS);
    if (server->config.given_up != NULL)
        *server->config.given_up = true;
    http_abandon_deferred(server);
    server_free(server);
}
