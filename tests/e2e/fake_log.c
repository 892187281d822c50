/*
 * A log that is not one: what `stele deliver` must bear. Over bare sockets, since much of it is not HTTP.
 *   fake_log FILE      prints "listening on URL"; every request gets the bytes of FILE, as they are then, as its whole answer; the
 *                      number of requests stands in FILE.count. A first line of FILE says more:
 *     @endless         what follows it, again and again, without end
 *     @drip            what follows it, and then a byte each tenth of a second, without end
 *     @hang            nothing, ever
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "tests/raw.h"

enum { HEAD_BYTES_MAX = 16384, ANSWER_BYTES_MAX = 4 << 20 };

static const char *file;
static unsigned requests;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Reads a request whole; false where there is none. */
static bool read_request(int fd)
{
    static _Thread_local char head[HEAD_BYTES_MAX + 1], sink[65536];
    size_t len = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t got = len < HEAD_BYTES_MAX ? recv(fd, head + len, HEAD_BYTES_MAX - len, 0) : 0;
        if (got <= 0)
            return false;
        len += (size_t)got;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    const char *length = strstr(head, "Content-Length: ");
    size_t body = length == NULL || length > end ? 0 : strtoull(length + 16, NULL, 10), have = len - (size_t)(end + 4 - head);
    while (have < body) {
        ssize_t got = recv(fd, sink, sizeof sink, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static void count(void)
{
    char path[4096], text[32];
    struct why why;
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s.count", file);
    snprintf(text, sizeof text, "%u\n", ++requests);
    if (file_replace_soft(path, 0600, span_str(text), &why) != OK)
        fprintf(stderr, "fake_log: %s\n", why.text);
    pthread_mutex_unlock(&lock);
}

/* False where the connection is over. */
static bool answer(int fd)
{
    const struct timespec tenth = { .tv_nsec = 100000000 };
    struct buf text = BUF_EMPTY;
    struct why why;
    bool more = false;
    count();
    if (file_read(file, ANSWER_BYTES_MAX, &text, &why) == OK) {
        struct span rest = span_buf(&text);
        bool endless = span_skip(&rest, "@endless\n"), drip = span_skip(&rest, "@drip\n"), hang = span_skip(&rest, "@hang\n");
        more = raw_send_all(fd, rest) && !endless && !drip && !hang;
        while (endless && raw_send_all(fd, rest))
            continue;
        while (drip && nanosleep(&tenth, NULL) == 0 && raw_send_all(fd, span_str("x")))
            continue;
        while (hang && read_request(fd))
            continue;
    }
    buf_free(&text);
    return more;
}

static void *serve(void *ctx)
{
    int fd = (int)(intptr_t)ctx;
    while (read_request(fd) && answer(fd))
        continue;
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc != 2 || bind(listening, (struct sockaddr *)&address, len) != 0 || listen(listening, 64) != 0 ||
        getsockname(listening, (struct sockaddr *)&address, &len) != 0) {
        fprintf(stderr, "usage: fake_log FILE\n");
        return 2;
    }
    file = argv[1];
    signal(SIGPIPE, SIG_IGN);
    printf("listening on http://127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int fd = accept(listening, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else if (fd >= 0)
            close(fd);
    }
}
