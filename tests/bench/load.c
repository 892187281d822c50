/*
 * A load generator for a server on loopback, one thread, keep-alive, bounded in time and count.
 *
 *   load post URL CLIENTS SECONDS KEYFILE PER_REQUEST [RATE]   attestations of about 1.9 KB; RATE requests a second at most
 *   load get URL CLIENTS SECONDS PATH                          one path again and again
 *
 * Prints "name value" lines: requests, entries and bytes a second, p50 and p99 in ms, answers by status.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/sys/clock.h"
#include "tests/attestation.h"

enum { CLIENTS_MAX = 4096, REQUESTS_MAX = 4 << 20, ANSWER_HEAD_MAX = 8192, PREPARED_MAX = 400000, ATTESTATION_INPUTS = 2 };
enum { A_CLIENT_S = 3000, ENTRIES_S_MAX = 30000 }; /* no client gets more answers, no log takes more entries a second */

struct client {
    int fd;
    size_t request; /* of the prepared ones, in flight */
    size_t sent;
    uint64_t started_us;
    char head[ANSWER_HEAD_MAX];
    size_t head_len;
    bool in_body, busy;
    uint64_t body_left;
    unsigned status;
};

struct load {
    struct sockaddr_in address;
    struct client *clients;
    size_t clients_n;
    struct buf *requests; /* prepared, sent once each for a post, again and again for a get */
    size_t requests_n, next;
    bool again;
    size_t entries_per_request;
    double *took_ms;
    size_t done, refused;
    uint64_t bytes, seconds_us, started_us;
    uint64_t cpu_us; /* of this process, while it ran */
    double rate;     /* requests a second, 0 for no bound */
    int epoll;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void prepare_posts(struct load *load, const char *key_file, size_t per_request, size_t n)
{
    struct secret_key *key;
    struct why why;
    if (key_system_start(&why) != OK || secret_key_load(&key, key_file, SIG_ED25519, &why) != OK) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    uint64_t number = clock_posix_ms() * 1000; /* unlike any earlier run's */
    load->requests_n = n;
    load->requests = calloc(n, sizeof *load->requests);
    struct buf body = BUF_EMPTY;
    for (size_t i = 0; i < n; i++) {
        buf_clear(&body);
        for (size_t k = 0; k < per_request; k++)
            if (test_attestation(&body, key, number++, ATTESTATION_INPUTS, &why) != OK) {
                fprintf(stderr, "%s\n", why.text);
                exit(1);
            }
        buf_fmt(&load->requests[i],
                "POST /attestations HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                per_request == 1 ? "application/json" : "application/jsonl", body.len);
        buf_span(&load->requests[i], span_buf(&body));
    }
    buf_free(&body);
    secret_key_free(key);
}

static void open_client(struct load *load, struct client *client)
{
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&load->address, sizeof load->address) != 0)
        die("connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Edges, so that a request costs one send and one or two recv, and nothing more. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client };
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die("epoll_ctl");
}

static bool over(const struct load *load)
{
    return clock_monotonic_us() - load->started_us >= load->seconds_us || load->done >= REQUESTS_MAX ||
           (!load->again && load->next >= load->requests_n);
}

static void send_more(struct load *load, struct client *client)
{
    struct buf *request = &load->requests[client->request];
    if (client->sent == request->len)
        return;
    ssize_t put = send(client->fd, request->data + client->sent, request->len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno != EAGAIN)
        die("send");
    client->sent += put > 0 ? (size_t)put : 0;
}

/* Gives an idle client its next request, where there is one and the rate allows it. */
static bool begin(struct load *load, struct client *client)
{
    uint64_t now = clock_monotonic_us();
    if (over(load) || (load->rate > 0 && (double)load->next >= load->rate * (double)(now - load->started_us) / 1e6))
        return false;
    client->request = load->again ? 0 : load->next;
    load->next++;
    client->sent = client->head_len = 0;
    client->in_body = false;
    client->busy = true;
    client->started_us = now;
    send_more(load, client);
    return true;
}

static void take_head(struct client *client)
{
    const char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return;
    const char *length = strstr(client->head, "Content-Length: ");
    if (sscanf(client->head, "HTTP/1.1 %u", &client->status) != 1 || length == NULL) {
        fprintf(stderr, "no answer of a kind that is known: %.200s\n", client->head);
        exit(1);
    }
    uint64_t body = strtoull(length + 16, NULL, 10), have = client->head_len - (size_t)(end + 4 - client->head);
    client->in_body = true;
    client->body_left = body - have;
}

/* Takes what has come; true where that ends the answer. */
static bool receive(struct load *load, struct client *client)
{
    static char body[1 << 18];
    while (!client->in_body || client->body_left > 0) {
        char *into = client->in_body ? body : client->head + client->head_len;
        size_t room = client->in_body ? sizeof body : sizeof client->head - 1 - client->head_len;
        ssize_t got = recv(client->fd, into, room, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0) {
            fprintf(stderr, "the server closed a connection\n");
            exit(1);
        }
        load->bytes += (uint64_t)got;
        if (client->in_body) {
            client->body_left -= (uint64_t)got;
        } else {
            client->head_len += (size_t)got;
            client->head[client->head_len] = '\0';
            take_head(client);
        }
    }
    return true;
}

static void finish(struct load *load, struct client *client)
{
    client->busy = false;
    if (client->status != 200)
        load->refused++;
    else if (load->done < REQUESTS_MAX)
        load->took_ms[load->done++] = (double)(clock_monotonic_us() - client->started_us) / 1000;
}

static void run(struct load *load)
{
    struct epoll_event events[256];
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < load->clients_n; i++)
        open_client(load, &load->clients[i]);
    load->started_us = clock_monotonic_us();
    load->cpu_us = cpu_us();
    size_t busy = 0, next = 0;
    do {
        /* Those that rest, because of the rate or because they have not begun, take their turns. */
        for (size_t tries = 0; busy < load->clients_n && tries < load->clients_n; tries++) {
            struct client *client = &load->clients[next];
            if (!client->busy) {
                if (!begin(load, client))
                    break;
                busy++;
            }
            next = (next + 1) % load->clients_n;
        }
        int n = epoll_wait(load->epoll, events, 256, busy == load->clients_n ? 100 : 1);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (!client->busy)
                continue;
            send_more(load, client);
            if (receive(load, client)) {
                finish(load, client);
                busy -= !begin(load, client);
            }
        }
    } while (busy > 0 || !over(load));
    load->cpu_us = cpu_us() - load->cpu_us;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(struct load *load)
{
    double seconds = (double)(clock_monotonic_us() - load->started_us) / 1e6;
    qsort(load->took_ms, load->done, sizeof *load->took_ms, by_value);
    printf("requests_s %.0f\nentries_s %.0f\nmbytes_s %.1f\n", (double)load->done / seconds,
           (double)(load->done * load->entries_per_request) / seconds, (double)load->bytes / seconds / 1e6);
    if (load->done > 0)
        printf("p50_ms %.2f\np99_ms %.2f\n", load->took_ms[load->done / 2], load->took_ms[load->done * 99 / 100]);
    printf("answered %zu\nrefused %zu\nload_cpu_s %.3f\n", load->done, load->refused, (double)load->cpu_us / 1e6);
}

int main(int argc, char **argv)
{
    struct load load = { 0 };
    unsigned port;
    bool post = argc >= 7 && argc <= 8 && strcmp(argv[1], "post") == 0;
    if ((!post && !(argc == 6 && strcmp(argv[1], "get") == 0)) || sscanf(argv[2], "http://127.0.0.1:%u", &port) != 1) {
        fprintf(stderr, "usage: load post http://127.0.0.1:PORT CLIENTS SECONDS KEYFILE PER_REQUEST [RATE]\n"
                        "       load get http://127.0.0.1:PORT CLIENTS SECONDS PATH\n");
        return 2;
    }
    load.address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    load.clients_n = strtoul(argv[3], NULL, 10);
    load.seconds_us = strtoull(argv[4], NULL, 10) * 1000000;
    load.entries_per_request = 1;
    if (load.clients_n == 0 || load.clients_n > CLIENTS_MAX || load.seconds_us == 0 || load.seconds_us > 600 * 1000000ULL)
        return 2;
    load.clients = calloc(load.clients_n, sizeof *load.clients);
    load.took_ms = calloc(REQUESTS_MAX, sizeof *load.took_ms);
    if (load.clients == NULL || load.took_ms == NULL)
        return 1;
    if (post) {
        load.entries_per_request = strtoul(argv[6], NULL, 10);
        load.rate = argc == 8 ? strtod(argv[7], NULL) : 0;
        if (load.entries_per_request == 0 || load.entries_per_request > SUBMISSION_ENTRIES_MAX)
            return 2;
        /* Enough for the time given; made before the clock starts, so that signing costs nothing. */
        size_t a_second = load.clients_n * load.entries_per_request * A_CLIENT_S;
        size_t entries = (size_t)(load.seconds_us / 1000000) * (a_second < ENTRIES_S_MAX ? a_second : ENTRIES_S_MAX);
        if (load.rate > 0)
            entries = (size_t)(load.rate * (double)load.seconds_us / 1e6 * 1.1) * load.entries_per_request;
        entries = entries > PREPARED_MAX ? PREPARED_MAX : entries;
        prepare_posts(&load, argv[5], load.entries_per_request, entries / load.entries_per_request + 1);
    } else {
        load.again = true;
        load.requests_n = 1;
        load.requests = calloc(1, sizeof *load.requests);
        buf_fmt(&load.requests[0], "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[5]);
    }
    run(&load);
    print(&load);
    return load.done == 0;
}
