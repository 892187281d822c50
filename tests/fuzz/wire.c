#include "tests/fuzz/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sys/http_internal.h"

enum { TURNS_MAX = 100000 }; /* of a server that answers: beyond it, it never will */

static struct http_server *server;

struct http_server *wire_server(void)
{
    return server;
}

static void start(const struct http_server_config *given)
{
    struct http_server_config config = *given;
    struct why why;
    config.threads = 1;
    config.connections_max = config.connections_per_ip_max = 64;
    config.idle_timeout_s = config.request_timeout_s = 3600;
    if (http_server_start_unthreaded(&server, &config, &why) != OK)
        abort();
}

/* What is there to be read; false at the end. */
static bool take(int fd, struct buf *replies)
{
    uint8_t block[16384];
    ssize_t got;
    while ((got = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0)
        buf_add(replies, block, (size_t)got);
    return got < 0 && errno == EAGAIN;
}

void wire_talk(const struct http_server_config *config, struct span bytes, struct buf *replies)
{
    int ends[2], room = 1 << 20;
    const struct sockaddr address = { .sa_family = AF_UNIX };
    if (server == NULL)
        start(config);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) != 0)
        abort();
    while (bytes.len > 0) {
        ssize_t sent = send(ends[0], bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            abort(); /* an input has 64 KiB */
        bytes = span_cut(bytes, (size_t)sent, bytes.len - (size_t)sent);
    }
    shutdown(ends[0], SHUT_WR);
    atomic_fetch_add(&server->counts.connections, 1);
    if (MHD_add_connection(server->daemon, ends[1], &address, sizeof address) != MHD_YES)
        abort();
    unsigned turns = 0;
    for (; take(ends[0], replies); turns++) {
        assert(turns < TURNS_MAX);
        MHD_run(server->daemon);
    }
    close(ends[0]);
    /* Until it has forgotten the connection. */
    for (; atomic_load(&server->counts.connections) > 0; turns++) {
        assert(turns < TURNS_MAX);
        MHD_run(server->daemon);
    }
}
