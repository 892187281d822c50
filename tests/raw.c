#include "tests/raw.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

int raw_open(unsigned port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = 60 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

bool raw_send_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes = span_of(bytes.data + sent, bytes.len - (size_t)sent);
    }
    return true;
}

void raw_send(int fd, const char *text)
{
    raw_send_all(fd, span_str(text));
}

bool raw_until(int fd, const char *text, char *out, size_t max)
{
    size_t len = 0;
    out[0] = '\0';
    while (strstr(out, text) == NULL) {
        ssize_t got = len + 1 < max ? recv(fd, out + len, 1, 0) : 0;
        if (got <= 0)
            return false;
        out[++len] = '\0';
    }
    return true;
}

bool raw_closed(int fd)
{
    char byte;
    for (;;) {
        ssize_t got = recv(fd, &byte, 1, 0);
        if (got <= 0)
            return got == 0 || errno == ECONNRESET;
    }
}
