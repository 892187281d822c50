#include "lib/sys/service.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/key.h"
#include "lib/sys/report.h"

static enum err make_key(const char *dir, const char *name, enum sig_type type, struct buf *vkey, struct why *why)
{
    struct secret_key *key = NULL;
    char *path = path_join(dir, "key"), *heads = path_join(dir, "heads");
    enum err err = path == NULL || heads == NULL ? fail(why, ERR_ENV, "out of memory") : key_system_start(why);
    if (err == OK)
        err = secret_key_new(&key, span_str(name), type, why);
    if (err == OK)
        err = heads_create(heads, why);
    if (err == OK)
        err = secret_key_save(key, path, why);
    if (err == OK) {
        struct vkey public = secret_key_vkey(key);
        vkey_render(vkey, &public);
        err = buf_done(vkey, why);
    }
    secret_key_free(key);
    free(path);
    free(heads);
    return err;
}

enum err service_init(const char *dir, const char *what, const char *name, enum sig_type type, struct buf *vkey, struct why *why)
{
    if (!key_name_ok(span_str(name)) || strstr(name, "://") != NULL || span_ends(span_str(name), "/"))
        return fail(why, ERR_USAGE, "%s is no URL without schema, final slash, spaces and plus signs (signed-note, \"Format\")",
                    name);
    enum err err = dir_make_empty(dir, 0700, what, why);
    if (err == OK)
        err = dir_ours(dir, why);
    return err == OK ? make_key(dir, name, type, vkey, why) : err;
}

enum err service_vkey(const char *dir, enum sig_type type, struct buf *vkey, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct vkey key;
    struct span rest, line;
    char *path = path_join(dir, "key.pub");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, NOTE_SIGNATURE_BYTES_MAX, &text, why);
    if (err == OK) {
        rest = span_buf(&text);
        err = span_line(&rest, &line) && rest.len == 0 ? vkey_parse(&key, line, type, why)
                                                       : fail(why, ERR_MALFORMED, "not exactly one line");
        if (err != OK)
            fail_in(why, err, "%s", path);
    }
    if (err == OK) {
        buf_span(vkey, line);
        err = buf_done(vkey, why);
    }
    buf_free(&text);
    free(path);
    return err;
}

void service_block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Where a listening TCP socket listens; false for any other descriptor. */
static bool listening_at(int fd, char **address)
{
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at, int_len = sizeof(int);
    int listening = 0, type = 0;
    char host[64], port[8];
    struct buf text = BUF_EMPTY;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) != 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) != 0 || type != SOCK_STREAM ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0 || (at.ss_family != AF_INET && at.ss_family != AF_INET6) ||
        getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    buf_fmt(&text, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    *address = text.failed ? NULL : span_dup_str(span_buf(&text));
    buf_free(&text);
    return *address != NULL;
}

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

bool service_handed(const char *pid_text, const char *n_text, uint64_t own_pid, uint64_t *n)
{
    uint64_t pid;
    bool ours = pid_text != NULL && n_text != NULL && span_decimal(span_str(pid_text), INT32_MAX, &pid) && pid == own_pid;
    if (!ours || !span_decimal(span_str(n_text), INT32_MAX, n))
        *n = ours ? UINT64_MAX : 0;
    return *n != 0;
}

/* The socket that was handed over, and where it listens; 0 and NULL for none. */
static enum err take_socket(int *fd, char **address, struct why *why)
{
    uint64_t n;
    bool handed = service_handed(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), (uint64_t)getpid(), &n);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    *fd = 0;
    *address = NULL;
    if (!handed)
        return OK;
    if (n != 1)
        return fail(why, ERR_ENV, "LISTEN_FDS is not 1: the service manager is to hand over one socket");
    if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) != 0 || !listening_at(FIRST_FD, address))
        return fail(why, ERR_ENV, "descriptor %d, from the service manager, is no TCP socket that listens", FIRST_FD);
    *fd = FIRST_FD;
    return OK;
}

enum err service_listen(const char *option, char **listen, int *fd, struct why *why)
{
    char *instead;
    enum err err = take_socket(fd, &instead, why);
    if (err == OK && instead != NULL && option != NULL)
        err = fail(why, ERR_USAGE, "--listen %s, and the service manager listens at %s: give one", option, instead);
    else if (err == OK && option != NULL && (instead = span_dup_str(span_str(option))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err != OK || instead == NULL) {
        free(instead);
        return err;
    }
    free(*listen);
    *listen = instead;
    return OK;
}

/* As take_socket takes it over. */
static enum err exec_with(int fd, char *const argv[], struct why *why)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if ((fd != FIRST_FD && dup2(fd, FIRST_FD) < 0) || fcntl(FIRST_FD, F_SETFD, 0) != 0 || setenv("LISTEN_PID", pid, 1) != 0 ||
        setenv("LISTEN_FDS", "1", 1) != 0)
        return fail(why, ERR_ENV, "cannot keep the socket: %s", strerror(errno));
    execv("/proc/self/exe", argv);
    return fail(why, ERR_ENV, "cannot start anew: %s", strerror(errno));
}

enum err service_start_anew(const char *program, const char *dir, int fd, void (*stop)(void *ctx), void *ctx, struct why *why)
{
    char serve[] = "serve", *name = span_dup_str(span_str(program)), *folder = span_dup_str(span_str(dir));
    char *const argv[] = { name, serve, folder, NULL };
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
    report(REPORT_INFO, "starting-anew", "why=%s", report_quote("heads-max: DIR/heads is to be written anew"));
    stop(ctx);
    enum err err =
        kept < 0 || name == NULL || folder == NULL ? fail(why, ERR_ENV, "cannot keep the socket") : exec_with(kept, argv, why);
    free(name);
    free(folder);
    return err;
}
