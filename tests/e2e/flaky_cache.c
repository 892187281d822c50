/* A cache that serves a folder as badly as it is told: flaky_cache FOLDER MODE-FILE. The mode is read anew for each request:
 *   ok                 as it should
 *   cut N TIMES        the next TIMES NARs end after N bytes of what was announced
 *   longer, shorter    more, or less, is announced of a NAR than comes
 *   stall              of a NAR ten bytes come, and then nothing
 *   silent             no answer at all
 *   hold WORD          what has WORD in its path is answered when the mode is another
 *   fail STATUS TIMES  the next TIMES requests get this status (-1: all)
 *   redirect URL       NAR requests are led to URL and their path
 *   auth BASE64        401 without these credentials (RFC 7617)
 *   endless            narinfo files do not end
 * Prints "listening on URL", then a line a request: its method, path and Range. */
#define _GNU_SOURCE /* strcasestr */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

enum { HEAD_BYTES_MAX = 16384, FILLER_BYTES = 1 << 20, ENDLESS_BYTES = 1 << 30 };

static const char *folder, *mode_file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char counted[256]; /* the mode whose times are counted */
static long left;

struct mode {
    char word[16], text[200];
    long number, times;
};

static void read_mode(struct mode *mode)
{
    char line[256] = "ok";
    FILE *file = fopen(mode_file, "r");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) == NULL)
            line[0] = '\0';
        fclose(file);
    }
    *mode = (struct mode){ .word = "ok", .times = -1 };
    sscanf(line, "%15s %199s %ld", mode->word, mode->text, &mode->times);
    mode->number = atol(mode->text);
    if (strcmp(line, counted) != 0) {
        memcpy(counted, line, sizeof counted);
        left = mode->times;
    }
}

/* Is it this request's turn? */
static int take_turn(void)
{
    if (left > 0)
        left--;
    else if (left == 0)
        return 0;
    return 1;
}

static int put(int fd, const void *bytes, size_t len)
{
    for (const char *at = bytes; len > 0;) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        at += sent;
        len -= (size_t)sent;
    }
    return 1;
}

static int answer(int fd, int status, const char *header, long length)
{
    char head[1024];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %ld\r\n%s\r\n", status, length, header);
    return put(fd, head, (size_t)n);
}

static int send_endless(int fd)
{
    static char filler[FILLER_BYTES];
    memset(filler, 'x', sizeof filler);
    int open = answer(fd, 200, "", ENDLESS_BYTES);
    for (long sent = 0; open && sent < ENDLESS_BYTES; sent += FILLER_BYTES)
        open = put(fd, filler, sizeof filler);
    return open;
}

/* Answers with the file; 0 where the connection is to be closed. */
static int send_file(int fd, const char *path, const struct mode *mode)
{
    char name[4096];
    int is_nar = strncmp(path, "/nar/", 5) == 0;
    snprintf(name, sizeof name, "%s%s", folder, path);
    FILE *file = strstr(path, "..") != NULL ? NULL : fopen(name, "rb");
    if (file == NULL)
        return answer(fd, 404, "", 0);
    fseek(file, 0, SEEK_END);
    long size = ftell(file), announced = size, most = size;
    rewind(file);
    if (is_nar && strcmp(mode->word, "cut") == 0 && mode->number < size && take_turn())
        most = mode->number;
    if (is_nar && strcmp(mode->word, "stall") == 0)
        most = 10;
    if (is_nar && strcmp(mode->word, "longer") == 0)
        announced += 1000;
    if (is_nar && strcmp(mode->word, "shorter") == 0)
        announced -= 100;
    int open = answer(fd, 200, "", announced);
    char bytes[65536];
    while (open && most > 0) {
        size_t got = fread(bytes, 1, (size_t)most < sizeof bytes ? (size_t)most : sizeof bytes, file);
        if (got == 0)
            break;
        most -= (long)got;
        pthread_mutex_unlock(&lock);
        open = put(fd, bytes, got);
        pthread_mutex_lock(&lock);
    }
    fclose(file);
    if (is_nar && strcmp(mode->word, "stall") == 0) {
        pthread_mutex_unlock(&lock);
        while (recv(fd, bytes, sizeof bytes, 0) > 0)
            continue;
        pthread_mutex_lock(&lock);
    }
    return open && announced == size && most == 0 && strcmp(mode->word, "stall") != 0 && strcmp(mode->word, "cut") != 0;
}

static int respond(int fd, char *head)
{
    char method[16] = "", path[2048] = "", header[2400];
    struct mode mode;
    sscanf(head, "%15s %2047s", method, path);
    const char *range = strcasestr(head, "\r\nRange: "), *authorization = strcasestr(head, "\r\nAuthorization: Basic ");
    printf("%s %s %.*s\n", method, path, range != NULL ? (int)strcspn(range + 2, "\r") : 0, range != NULL ? range + 2 : "");
    fflush(stdout);
    read_mode(&mode);
    while (strcmp(mode.word, "hold") == 0 && strstr(path, mode.text) != NULL) {
        pthread_mutex_unlock(&lock);
        usleep(20000);
        pthread_mutex_lock(&lock);
        read_mode(&mode);
    }
    if (strcmp(mode.word, "fail") == 0 && take_turn())
        return answer(fd, (int)mode.number, "", 0);
    if (strcmp(mode.word, "redirect") == 0 && strncmp(path, "/nar/", 5) == 0) {
        snprintf(header, sizeof header, "Location: %s%s\r\n", mode.text, path);
        return answer(fd, 302, header, 0);
    }
    if (strcmp(mode.word, "auth") == 0 && (authorization == NULL || strncmp(authorization + 23, mode.text, strlen(mode.text)) != 0))
        return answer(fd, 401, "WWW-Authenticate: Basic realm=\"x\"\r\n", 0);
    if (strcmp(mode.word, "endless") == 0 && strstr(path, ".narinfo") != NULL) {
        pthread_mutex_unlock(&lock);
        int open = send_endless(fd);
        pthread_mutex_lock(&lock);
        return open;
    }
    if (strcmp(mode.word, "silent") == 0) {
        char byte;
        pthread_mutex_unlock(&lock);
        while (recv(fd, &byte, 1, 0) > 0)
            continue;
        pthread_mutex_lock(&lock);
        return 0;
    }
    return send_file(fd, path, &mode);
}

static void *serve(void *ctx)
{
    int fd = (int)(intptr_t)ctx, open = 1;
    char head[HEAD_BYTES_MAX];
    size_t len = 0;
    while (open) {
        head[len] = '\0';
        char *end = strstr(head, "\r\n\r\n");
        if (end == NULL) {
            ssize_t got = len == sizeof head - 1 ? 0 : recv(fd, head + len, sizeof head - 1 - len, 0);
            if (got <= 0)
                break;
            len += (size_t)got;
            continue;
        }
        end[2] = '\0';
        pthread_mutex_lock(&lock);
        open = respond(fd, head);
        pthread_mutex_unlock(&lock);
        len -= (size_t)(end + 4 - head);
        memmove(head, end + 4, len);
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t address_len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (argc != 3 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_len) != 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    folder = argv[1];
    mode_file = argv[2];
    printf("listening on http://127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
}
