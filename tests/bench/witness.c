/*
 * A load generator for a witness on loopback: logs of a billion entries whose heads follow one on another, each log with one
 * request under way, over kept-alive connections. One thread; everything is made before it starts.
 *
 *   witness vkeys LOGS                               lines for DIR/logs
 *   witness load URL LOGS CLIENTS HEADS SECONDS      HEADS of each log; ends with SECONDS, or when there are no more
 *
 * Prints "name value" lines: heads cosigned a second, p50 and p99 in ms, answers other than 200, hashes in a proof, the CPU time
 * of a signature, the generator's own CPU time.
 */
#define _GNU_SOURCE /* strcasestr */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/sys/clock.h"
#include "tests/witness_driver.h"

enum { CLIENTS_MAX = 1024, GROWTH = 8, LEVELS = 32, ANSWER_MAX = 4096, SIGNATURES = 2000 };
#define START_SIZE UINT64_C(0x2d5ab6d5) /* 760 million entries, in 18 perfect subtrees: proofs of some twenty hashes */

/* The right edge of a log's tree: of each level, the nodes from `first` on. What lies left of it is random. */
struct edge {
    uint64_t size, first[LEVELS];
    size_t n[LEVELS];
    struct hash *nodes[LEVELS];
};

struct source {
    struct own_log log;
    struct buf requests; /* all of them, one after the other */
    size_t *ends;
    size_t n, next;
    bool asking;
};

struct client {
    int fd;
    size_t source, sent;
    uint64_t started_us;
    bool busy;
    char answer[ANSWER_MAX];
    size_t answer_len;
};

static struct source *sources;
static struct client clients[CLIENTS_MAX];
static size_t sources_n, clients_n, heads_n, turn, proofs, proof_hashes;
static double *took_ms;
static size_t took_n, refused;

static struct hash random_hash(void)
{
    struct hash out;
    randombytes_buf(out.b, sizeof out.b);
    return out;
}

static void edge_start(struct edge *edge, size_t leaves)
{
    *edge = (struct edge){ .size = START_SIZE };
    for (unsigned level = 0; level < LEVELS; level++) {
        edge->first[level] = START_SIZE >> level == 0 ? 0 : (START_SIZE >> level) - 1;
        edge->nodes[level] = calloc((leaves >> level) + 4, sizeof(struct hash));
        if (edge->nodes[level] == NULL)
            driver_die("memory", NULL);
        /* The node before the edge, a root of a perfect subtree where the size has this bit. */
        if (START_SIZE >> level != 0)
            edge->nodes[level][edge->n[level]++] = random_hash();
    }
}

static void edge_free(struct edge *edge)
{
    for (unsigned level = 0; level < LEVELS; level++)
        free(edge->nodes[level]);
}

static void edge_append(struct edge *edge)
{
    struct hash hash = random_hash();
    uint64_t index = edge->size++;
    for (unsigned level = 0;; level++, index /= 2) {
        edge->nodes[level][edge->n[level]++] = hash;
        if (index % 2 == 0)
            return;
        hash = merkle_node_hash(&edge->nodes[level][edge->n[level] - 2], &hash);
    }
}

static enum err read_edge(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    const struct edge *edge = ctx;
    for (size_t i = 0; i < n; i++) {
        uint64_t at = nodes[i].index - edge->first[nodes[i].level];
        if (nodes[i].index < edge->first[nodes[i].level] || at >= edge->n[nodes[i].level])
            return fail(why, ERR_ENV, "node %u/%llu is not of the edge", nodes[i].level, (unsigned long long)nodes[i].index);
        out[i] = edge->nodes[nodes[i].level][at];
    }
    return OK;
}

static void put_request(struct source *source, struct edge *edge, uint64_t old)
{
    struct hash_reader reader = { read_edge, edge };
    struct buf body = BUF_EMPTY, text = BUF_EMPTY;
    struct hash root, proof[PROOF_HASHES_MAX];
    struct why why;
    size_t n = 0;
    if (merkle_root(edge->size, &reader, &root, &why) != OK ||
        (old > 0 && merkle_consistency_prove(old, edge->size, &reader, proof, &n, &why) != OK))
        driver_die("a head", &why);
    buf_fmt(&body, "old %llu\n", (unsigned long long)old);
    for (size_t i = 0; i < n; i++) {
        base64_encode(&body, span_of(proof[i].b, sizeof proof[i].b));
        buf_byte(&body, '\n');
    }
    own_text(&text, &source->log, edge->size, &root);
    buf_byte(&body, '\n');
    buf_span(&body, span_buf(&text));
    buf_byte(&body, '\n');
    own_line(&body, &source->log, span_buf(&text));
    buf_fmt(&source->requests, "POST /add-checkpoint HTTP/1.1\r\nHost: witness\r\nContent-Length: %zu\r\n\r\n", body.len);
    buf_span(&source->requests, span_buf(&body));
    source->ends[source->n++] = source->requests.len;
    proofs += old > 0;
    proof_hashes += n;
    buf_free(&body);
    buf_free(&text);
}

static void source_make(struct source *source, size_t number)
{
    char origin[64];
    struct edge edge;
    snprintf(origin, sizeof origin, "bench.example/log/%zu", number);
    own_log_make(&source->log, origin, 0, 0);
    if ((source->ends = calloc(heads_n, sizeof *source->ends)) == NULL)
        driver_die("memory", NULL);
    edge_start(&edge, heads_n * GROWTH);
    for (uint64_t old = 0; source->n < heads_n; old = edge.size) {
        for (int i = 0; i < (old == 0 ? 0 : GROWTH); i++)
            edge_append(&edge);
        put_request(source, &edge, old);
    }
    if (source->requests.failed)
        driver_die("memory", NULL);
    edge_free(&edge);
}

static void client_send(struct client *client)
{
    struct source *source = &sources[client->source];
    size_t from = source->next == 0 ? 0 : source->ends[source->next - 1], end = source->ends[source->next];
    while (from + client->sent < end) {
        ssize_t put = send(client->fd, source->requests.data + from + client->sent, end - from - client->sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN)
            return;
        if (put <= 0)
            driver_die("sending", NULL);
        client->sent += (size_t)put;
    }
}

/* The next log in turn that has a head and none under way. */
static void client_start(struct client *client)
{
    for (size_t i = 0; i < sources_n; i++) {
        struct source *source = &sources[turn++ % sources_n];
        if (source->asking || source->next == source->n)
            continue;
        source->asking = client->busy = true;
        client->source = (size_t)(source - sources);
        client->sent = client->answer_len = 0;
        client->started_us = clock_monotonic_us();
        client_send(client);
        return;
    }
}

/* Is the answer whole? */
static bool client_take(struct client *client)
{
    for (;;) {
        if (client->answer_len + 1 >= ANSWER_MAX)
            driver_die("an answer too large", NULL);
        ssize_t got = recv(client->fd, client->answer + client->answer_len, ANSWER_MAX - 1 - client->answer_len, 0);
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0)
            driver_die("a connection ended", NULL);
        client->answer_len += (size_t)got;
        client->answer[client->answer_len] = '\0';
        const char *body = strstr(client->answer, "\r\n\r\n"), *length = strcasestr(client->answer, "\r\ncontent-length: ");
        if (body != NULL && length != NULL && (size_t)(body + 4 - client->answer) + (size_t)atol(length + 18) == client->answer_len)
            return true;
    }
}

static void client_done(struct client *client)
{
    struct source *source = &sources[client->source];
    bool cosigned = strncmp(client->answer, "HTTP/1.1 200", 12) == 0;
    if (cosigned)
        took_ms[took_n++] = (double)(clock_monotonic_us() - client->started_us) / 1000;
    else
        refused++;
    source->next += cosigned;
    source->asking = client->busy = false;
}

static void client_connect(struct client *client, int epoll, const char *url)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client };
    int on = 1;
    address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        driver_die("connecting", NULL);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(client->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        driver_die("epoll", NULL);
}

static void run(int epoll, uint64_t seconds)
{
    struct epoll_event events[CLIENTS_MAX];
    uint64_t until_us = clock_monotonic_us() + seconds * 1000000;
    size_t busy = 1;
    while (busy > 0) {
        bool ending = clock_monotonic_us() >= until_us;
        busy = 0;
        for (size_t i = 0; i < clients_n; i++) {
            if (!clients[i].busy && !ending)
                client_start(&clients[i]);
            busy += clients[i].busy;
        }
        int n = busy == 0 ? 0 : epoll_wait(epoll, events, CLIENTS_MAX, 1000);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client->busy && (events[i].events & EPOLLOUT) != 0)
                client_send(client);
            if (client->busy && (events[i].events & EPOLLIN) != 0 && client_take(client))
                client_done(client);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t cpu_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static double sign_us(const struct own_log *log)
{
    struct buf text = BUF_EMPTY;
    struct hash root = random_hash();
    uint8_t public[32], secret[64], sig[64];
    own_text(&text, log, 1, &root);
    crypto_sign_keypair(public, secret);
    uint64_t from_us = cpu_us();
    for (int i = 0; i < SIGNATURES; i++)
        crypto_sign_detached(sig, NULL, text.data, text.len, secret);
    buf_free(&text);
    return (double)(cpu_us() - from_us) / SIGNATURES;
}

static void load(const char *url, uint64_t seconds)
{
    int epoll = epoll_create1(0);
    sources = calloc(sources_n, sizeof *sources);
    took_ms = calloc(sources_n * heads_n + 1, sizeof *took_ms);
    if (epoll < 0 || sources == NULL || took_ms == NULL)
        driver_die("memory", NULL);
    for (size_t i = 0; i < sources_n; i++)
        source_make(&sources[i], i);
    for (size_t i = 0; i < clients_n; i++)
        client_connect(&clients[i], epoll, url);
    uint64_t started_us = clock_monotonic_us(), cpu_before_us = cpu_us();
    run(epoll, seconds);
    double took_s = (double)(clock_monotonic_us() - started_us) / 1e6;
    printf("load_cpu_s %.2f\n", (double)(cpu_us() - cpu_before_us) / 1e6);
    if (took_n > 0)
        qsort(took_ms, took_n, sizeof *took_ms, by_value);
    printf("heads %zu\nheads_s %.0f\np50_ms %.2f\np99_ms %.2f\nrefused %zu\nproof_hashes %.1f\nsign_us %.1f\n", took_n,
           (double)took_n / took_s, took_n == 0 ? 0 : took_ms[took_n / 2], took_n == 0 ? 0 : took_ms[took_n * 99 / 100], refused,
           proofs == 0 ? 0 : (double)proof_hashes / (double)proofs, sign_us(&sources[0].log));
    for (size_t i = 0; i < sources_n; i++) {
        own_log_free(&sources[i].log);
        buf_free(&sources[i].requests);
        free(sources[i].ends);
    }
    for (size_t i = 0; i < clients_n; i++)
        close(clients[i].fd);
    close(epoll);
    free(sources);
    free(took_ms);
}

int main(int argc, char **argv)
{
    http_client_free(driver_start(600));
    if (argc == 3 && strcmp(argv[1], "vkeys") == 0) {
        for (size_t i = 0; i < (size_t)atol(argv[2]); i++) {
            struct own_log log;
            char origin[64];
            snprintf(origin, sizeof origin, "bench.example/log/%zu", i);
            own_log_make(&log, origin, 0, 0);
            printf("log %s\n", log.vkey_text);
            own_log_free(&log);
        }
        return 0;
    }
    if (argc != 7 || strcmp(argv[1], "load") != 0)
        driver_die("usage: see the source", NULL);
    sources_n = (size_t)atol(argv[3]);
    clients_n = (size_t)atol(argv[4]);
    heads_n = (size_t)atol(argv[5]);
    if (sources_n == 0 || heads_n == 0 || clients_n == 0 || clients_n > CLIENTS_MAX)
        driver_die("LOGS, HEADS, and CLIENTS up to 1,024", NULL);
    load(argv[2], (uint64_t)atol(argv[6]));
    return 0;
}
