#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/agent.h"

static enum err connect_to(const char *path, int *fd, struct why *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return fail(why, ERR_ENV, "%s is too long a name for a socket", path);
    memcpy(address.sun_path, path, strlen(path));
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)&address, sizeof address) != 0)
        return fail(why, ERR_ENV, "cannot reach the signing agent at %s: %s; is `stele sign-agent` running?", path,
                    strerror(errno));
    return OK;
}

bool agent_listens(const char *path)
{
    int fd = -1;
    bool listens = connect_to(path, &fd, NULL) == OK;
    if (fd >= 0)
        close(fd);
    return listens;
}

static enum err send_all(int fd, struct span bytes, struct why *why)
{
    while (bytes.len > 0) {
        ssize_t put = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(why, ERR_ENV, "cannot ask the signing agent: %s", strerror(errno));
        bytes = span_cut(bytes, (size_t)put, bytes.len - (size_t)put);
    }
    return shutdown(fd, SHUT_WR) == 0 ? OK : fail(why, ERR_ENV, "cannot ask the signing agent: %s", strerror(errno));
}

static enum err read_answer(int fd, bool *answered, struct why *why)
{
    struct timeval patience = { .tv_sec = AGENT_ANSWER_S };
    char text[sizeof why->text + 16];
    size_t len = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        return fail(why, ERR_ENV, "cannot ask the signing agent: %s", strerror(errno));
    for (;;) {
        ssize_t got = read(fd, text + len, sizeof text - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    return agent_answer_parse(span_of(text, len), answered, why);
}

enum err agent_ask(const struct client_config *config, const struct hooked *hooked, bool *answered, struct why *why)
{
    struct buf request = BUF_EMPTY;
    int fd = -1;
    agent_request_render(&request, hooked);
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = connect_to(config->sign_agent, &fd, why);
    *answered = false;
    if (err == OK)
        err = send_all(fd, span_buf(&request), why);
    if (err == OK)
        err = read_answer(fd, answered, why);
    if (fd >= 0)
        close(fd);
    buf_free(&request);
    return err;
}
