/*
 * What a service manager does (sd_listen_fds(3)): hand_over KIND COMMAND... runs COMMAND with a socket as descriptor 3.
 * KIND: tcp, a TCP socket that listens on a free port of 127.0.0.1; idle, one that does not listen; two, two of them; other,
 * one that is meant for another process. The address is printed on stderr, "handed over 127.0.0.1:PORT".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char pid[16];
    if (argc < 3)
        return 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || (strcmp(argv[1], "idle") != 0 && listen(fd, 64) != 0) ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0 || (fd != 3 && dup2(fd, 3) < 0))
        return 4;
    fprintf(stderr, "handed over 127.0.0.1:%u\n", ntohs(at.sin_port));
    snprintf(pid, sizeof pid, "%ld", (long)getpid() + (strcmp(argv[1], "other") == 0));
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", strcmp(argv[1], "two") == 0 ? "2" : "1", 1);
    execvp(argv[2], argv + 2);
    return 4;
}
