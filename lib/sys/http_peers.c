/*
 * The connections of an HTTP server: how many there may be, and how long each may take.
 *
 * A connection that brings no request is never a reason to turn an honest client away. Where there are too many, of all or of
 * one address, the one that has waited longest for its next request makes room: a flood pushes out itself. The order is a
 * clock's: who asked for something since it was last looked at goes to the end of the line. Only where all are being answered
 * is a new one closed.
 */
#include "lib/sys/http_internal.h"

#include <stdlib.h>
#include <sys/random.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lib/sys/address.h"
#include "lib/sys/clock.h"

enum {
    LOOKED_AT_MAX = 64, /* connections, to find one that waits */
    SLOW_REPLY_MS = 10 * 1000,
};

struct http_address {
    struct http_address *next; /* in its bucket */
    uint64_t party;
    struct http_line line;
};

bool http_peers_init(struct http_server *server)
{
    pthread_mutex_init(&server->connections_lock, NULL);
    /* Who chooses addresses must not choose buckets. */
    return getrandom(&server->addresses_seed, sizeof server->addresses_seed, 0) == sizeof server->addresses_seed;
}

void http_peers_free(struct http_server *server)
{
    for (size_t i = 0; i < HTTP_ADDRESS_BUCKETS; i++)
        while (server->addresses[i] != NULL) {
            struct http_address *next = server->addresses[i]->next;
            free(server->addresses[i]);
            server->addresses[i] = next;
        }
    pthread_mutex_destroy(&server->connections_lock);
}

static struct http_address **bucket(struct http_server *server, uint64_t party)
{
    uint64_t hash = (party ^ server->addresses_seed) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 32 ^ server->addresses_seed >> 7) * 0xd6e8feb86659fd93u;
    return &server->addresses[(hash >> 32) % HTTP_ADDRESS_BUCKETS];
}

/* NULL where memory is short. */
static struct http_address *address_of(struct http_server *server, uint64_t party)
{
    struct http_address **head = bucket(server, party), *address = *head;
    while (address != NULL && address->party != party)
        address = address->next;
    if (address != NULL || (address = calloc(1, sizeof *address)) == NULL)
        return address;
    address->party = party;
    address->next = *head;
    *head = address;
    return address;
}

static void address_forget(struct http_server *server, struct http_address *address)
{
    struct http_address **at = bucket(server, address->party);
    while (*at != address)
        at = &(*at)->next;
    *at = address->next;
    free(address);
}

static void line_add(struct http_line *line, struct http_connection *peer, enum http_line_kind kind)
{
    struct http_place *place = &peer->places[kind];
    place->prev = line->last;
    place->next = NULL;
    if (line->last != NULL)
        line->last->places[kind].next = peer;
    else
        line->first = peer;
    line->last = peer;
    line->n++;
}

static void line_take(struct http_line *line, struct http_connection *peer, enum http_line_kind kind)
{
    struct http_place *place = &peer->places[kind];
    if (place->prev != NULL)
        place->prev->places[kind].next = place->next;
    else
        line->first = place->next;
    if (place->next != NULL)
        place->next->places[kind].prev = place->prev;
    else
        line->last = place->prev;
    line->n--;
}

/* Out of the lines: it no longer counts. */
static void unlink_peer(struct http_server *server, struct http_connection *peer)
{
    if (peer->address == NULL)
        return;
    line_take(&server->all, peer, HTTP_OF_ALL);
    line_take(&peer->address->line, peer, HTTP_OF_ADDRESS);
    if (peer->address->line.n == 0)
        address_forget(server, peer->address);
    peer->address = NULL;
}

/* libmicrohttpd sees the end of the stream and closes. Its notice of that, which takes the lock, comes before it closes the
 * socket: the number is still the connection's own. */
static void cut(struct http_server *server, struct http_connection *peer)
{
    unlink_peer(server, peer);
    shutdown(peer->fd, SHUT_RDWR);
}

/* Cuts the one that waits for its next request, and longest. */
static bool make_room(struct http_server *server, struct http_line *line, enum http_line_kind kind)
{
    for (unsigned i = 0; i < LOOKED_AT_MAX && line->first != NULL; i++) {
        struct http_connection *peer = line->first;
        unsigned turns = atomic_load_explicit(&peer->turns, memory_order_relaxed);
        if (turns == peer->places[kind].turns && turns % 2 == 0) {
            cut(server, peer);
            atomic_fetch_add(&server->counts.cut_for_room, 1);
            return true;
        }
        peer->places[kind].turns = turns;
        line_take(line, peer, kind);
        line_add(line, peer, kind);
    }
    return false;
}

/* With the lock held. False where there is no room. */
static bool admit(struct http_server *server, struct http_connection *peer)
{
    struct http_address *address = address_of(server, peer->party);
    if (address == NULL)
        return false;
    bool room = address->line.n < server->config.connections_per_ip_max || make_room(server, &address->line, HTTP_OF_ADDRESS);
    /* The address may have lost its last connection, and be gone with it. */
    room = room && (server->all.n < server->config.connections_max || make_room(server, &server->all, HTTP_OF_ALL));
    address = address_of(server, peer->party);
    if (room && address != NULL) {
        line_add(&server->all, peer, HTTP_OF_ALL);
        line_add(&address->line, peer, HTTP_OF_ADDRESS);
        peer->address = address;
    } else if (address != NULL && address->line.n == 0) {
        address_forget(server, address);
    }
    return peer->address != NULL;
}

static void describe(struct http_connection *peer, const struct sockaddr *from)
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
        inet_ntop(AF_INET, &in->sin_addr, peer->remote, sizeof peer->remote);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
        inet_ntop(AF_INET6, &in6->sin6_addr, peer->remote, sizeof peer->remote);
    }
    peer->party = address_party(peer->remote);
}

static void started(struct http_server *server, struct MHD_Connection *connection, void **socket_context)
{
    struct http_connection *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return; /* its requests are refused */
    peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    describe(peer, MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    peer->deadline_ms = clock_monotonic_ms() + 1000ull * (server->config.idle_timeout_s + server->config.request_timeout_s);
    *socket_context = peer;
    pthread_mutex_lock(&server->connections_lock);
    bool first = server->all.n == 0;
    if (!admit(server, peer)) {
        atomic_fetch_add(&server->counts.no_room, 1);
        shutdown(peer->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->connections_lock);
    if (first)
        http_wake_acceptor(server); /* it waits without a tick while there is none */
}

void http_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        started(server, connection, socket_context);
        return;
    }
    struct http_connection *peer = *socket_context;
    if (peer != NULL) {
        pthread_mutex_lock(&server->connections_lock);
        unlink_peer(server, peer);
        pthread_mutex_unlock(&server->connections_lock);
        free(peer);
        *socket_context = NULL;
    }
    atomic_fetch_sub(&server->counts.connections, 1);
}

bool http_peers_reap(struct http_server *server)
{
    uint64_t now_ms = atomic_load(&server->now_ms);
    bool short_of_memory = atomic_load(&server->replies_bytes) > HTTP_REPLIES_BYTES_MAX / 2;
    pthread_mutex_lock(&server->connections_lock);
    for (struct http_connection *peer = server->all.first, *next; peer != NULL; peer = next) {
        next = peer->places[HTTP_OF_ALL].next;
        uint64_t reply_ms = atomic_load_explicit(&peer->large_reply_ms, memory_order_relaxed);
        bool slow = short_of_memory && reply_ms != 0 && now_ms - reply_ms > SLOW_REPLY_MS;
        if (!slow && atomic_load_explicit(&peer->deadline_ms, memory_order_relaxed) >= now_ms)
            continue;
        cut(server, peer);
        atomic_fetch_add(&server->counts.too_slow, 1);
    }
    bool any = server->all.n > 0;
    pthread_mutex_unlock(&server->connections_lock);
    return any;
}
