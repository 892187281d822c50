/*
 * Clients that no honest one is, for the tests of what a server does about them. Each says "ready" when it is under way and goes on
 * until it is ended; at most a minute.
 *   http_driver slow PORT N        N connections, each with a request whose head comes a byte a second
 *   http_driver bodies PORT N      the same with a body
 *   http_driver idle PORT N        N connections that say nothing, opened anew where they are closed
 *   http_driver readers PORT N PATH   N connections that ask and never read the answer
 * And three that end by themselves:
 *   http_driver raw PORT           sends stdin, prints what is answered until the server closes, or a minute has passed
 *   http_driver pipeline PORT N PATH  N requests at once on one connection; prints the number of answers with status 200
 *   http_driver posts PORT N PID   N clients, each of which posts lines of stdin to /attestations until one is not answered 200;
 *                                  sends SIGTERM to PID when a hundred were; at the end prints "taken N", "refused N", "broken N"
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/raw.h"

enum { CLIENTS_MAX = 10000, SECONDS_MAX = 60 };

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void open_all(unsigned port, int *fds, size_t n, const char *first)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = raw_open(port);
        if (fds[i] < 0) {
            perror("connect");
            exit(1);
        }
        raw_send(fds[i], first);
    }
}

static void send_slowly(unsigned port, int *fds, size_t n, const char *first)
{
    open_all(port, fds, n, first);
    ready();
    for (int s = 0; s < SECONDS_MAX; s++, sleep(1))
        for (size_t i = 0; i < n; i++)
            raw_send(fds[i], "x");
}

static void idle(unsigned port, int *fds, size_t n)
{
    open_all(port, fds, n, "");
    ready();
    for (int rounds = 0; rounds < SECONDS_MAX * 5; rounds++, usleep(200000))
        for (size_t i = 0; i < n; i++) {
            char byte;
            if (recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
                continue;
            close(fds[i]);
            fds[i] = raw_open(port);
        }
}

static void never_read(unsigned port, int *fds, size_t n, const char *path)
{
    char request[1024];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    open_all(port, fds, n, request);
    ready();
    sleep(SECONDS_MAX);
}

static int raw(unsigned port)
{
    static char text[1 << 20];
    int fd = raw_open(port);
    size_t len = fread(text, 1, sizeof text, stdin);
    if (fd < 0 || send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        return 1;
    for (struct pollfd wait = { .fd = fd, .events = POLLIN }; poll(&wait, 1, 1000 * SECONDS_MAX) > 0;) {
        ssize_t got = recv(fd, text, sizeof text, 0);
        if (got <= 0) {
            puts("\n[closed]");
            return 0;
        }
        fwrite(text, 1, (size_t)got, stdout);
    }
    puts("\n[open]");
    return 0;
}

static int pipeline(unsigned port, size_t n, const char *path)
{
    static char answer[1 << 20];
    char request[1024];
    size_t answered = 0;
    int fd = raw_open(port);
    for (size_t i = 0; i < n; i++) {
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, i + 1 == n ? "Connection: close\r\n" : "");
        raw_send(fd, request);
    }
    while (raw_until(fd, "HTTP/1.1 200 ", answer, sizeof answer))
        answered++;
    printf("%zu\n", answered);
    return 0;
}

static struct {
    unsigned port;
    pid_t server;
    pthread_mutex_t lock; /* for all that follows */
    unsigned taken, refused, broken;
} posts = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One request and its answer: the status, or 0. */
static unsigned post_line(int fd, const char *line)
{
    char head[4096];
    unsigned status;
    unsigned long length;
    snprintf(head, sizeof head, "POST /attestations HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", strlen(line));
    raw_send(fd, head);
    raw_send(fd, line);
    if (!raw_until(fd, "\r\n\r\n", head, sizeof head) || sscanf(head, "HTTP/1.1 %u", &status) != 1)
        return 0;
    const char *field = strstr(head, "Content-Length: ");
    if (field == NULL || sscanf(field + 16, "%lu", &length) != 1)
        return 0;
    for (char byte; length > 0; length--)
        if (recv(fd, &byte, 1, 0) != 1)
            return 0;
    return status;
}

static void *post_lines(void *ctx)
{
    char line[65536];
    int fd = raw_open(posts.port);
    for (unsigned status = 200; status == 200 && fd >= 0;) {
        pthread_mutex_lock(&posts.lock);
        bool any = fgets(line, sizeof line, stdin) != NULL;
        pthread_mutex_unlock(&posts.lock);
        if (!any)
            break;
        status = post_line(fd, line);
        pthread_mutex_lock(&posts.lock);
        *(status == 200 ? &posts.taken : status != 0 ? &posts.refused : &posts.broken) += 1;
        if (posts.taken == 100 && status == 200)
            kill(posts.server, SIGTERM);
        pthread_mutex_unlock(&posts.lock);
    }
    close(fd);
    return ctx;
}

static int post_all(unsigned port, size_t n, pid_t server)
{
    pthread_t threads[256];
    posts.port = port;
    posts.server = server;
    for (size_t i = 0; i < n && i < 256; i++)
        pthread_create(&threads[i], NULL, post_lines, NULL);
    for (size_t i = 0; i < n && i < 256; i++)
        pthread_join(threads[i], NULL);
    printf("taken %u\nrefused %u\nbroken %u\n", posts.taken, posts.refused, posts.broken);
    return 0;
}

int main(int argc, char **argv)
{
    static int fds[CLIENTS_MAX];
    struct rlimit limit;
    unsigned port = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (port == 0 || port > 65535 || n > CLIENTS_MAX)
        return 2;
    if (strcmp(argv[1], "raw") == 0)
        return raw(port);
    if (strcmp(argv[1], "posts") == 0 && argc == 5)
        return post_all(port, n, (pid_t)strtol(argv[4], NULL, 10));
    if (strcmp(argv[1], "pipeline") == 0 && argc == 5)
        return pipeline(port, n, argv[4]);
    if (strcmp(argv[1], "slow") == 0)
        send_slowly(port, fds, n, "GET /checkpoint HTTP/1.1\r\nHost: h\r\nX: ");
    else if (strcmp(argv[1], "bodies") == 0)
        send_slowly(port, fds, n, "POST /attestations HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{");
    else if (strcmp(argv[1], "idle") == 0)
        idle(port, fds, n);
    else if (strcmp(argv[1], "readers") == 0 && argc == 5)
        never_read(port, fds, n, argv[4]);
    else
        return 2;
    return 0;
}
