/*
 * What libmicrohttpd serves at most: constant BYTES
 * answers every GET on a free port of 127.0.0.1 with one and the same buffer, with the settings that the log's server has, and
 * prints "listening on URL". Ends with its standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <microhttpd.h>

enum { BYTES_MAX = 64 << 20, MEMORY_BYTES = 16 << 10, CONNECTIONS_MAX = 4096, IDLE_S = 30 };

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **context)
{
    (void)url, (void)method, (void)version, (void)upload, (void)upload_len;
    static int head_seen;
    /* The first call is for the head; to answer there would close the connection. */
    if (*context == NULL) {
        *context = &head_seen;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, cls);
}

int main(int argc, char **argv)
{
    size_t bytes = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    char *body = bytes > 0 && bytes <= BYTES_MAX ? malloc(bytes) : NULL;
    if (body == NULL) {
        fprintf(stderr, "usage: constant BYTES\n");
        return 2;
    }
    memset(body, 'x', bytes);
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_PERSISTENT);
    if (response == NULL || MHD_add_response_header(response, "Content-Type", "application/octet-stream") != MHD_YES ||
        MHD_add_response_header(response, "Cache-Control", "public, max-age=31536000, immutable") != MHD_YES)
        return 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cores < 4 ? 1 : (unsigned)(cores / 2);
    struct MHD_OptionItem pool[2] = { { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL } };
    if (threads > 1)
        pool[0] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, threads, NULL };
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, answer, response, MHD_OPTION_ARRAY, pool,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
                         MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = daemon == NULL ? NULL : MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info == NULL) {
        fprintf(stderr, "constant: the server does not start\n");
        return 1;
    }
    printf("listening on http://127.0.0.1:%u\n", info->port);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        continue;
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    free(body);
    return 0;
}
