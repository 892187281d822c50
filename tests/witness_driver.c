#include "tests/witness_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "lib/sys/file.h"

/* Standard output goes to `out` where that is not -1. */
static pid_t spawn(const char *const *arguments, int out)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int null = open("/dev/null", O_RDWR);
    const char *errors = getenv("WITNESS_ERRORS"); /* a file for what it says, where a test wants it */
    int err = errors == NULL ? null : open(errors, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out >= 0 ? out : null, 1);
    dup2(err, 2);
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int driver_run(const char *const *arguments)
{
    return wait_for(spawn(arguments, -1));
}

void peer_make(struct peer *peer, const char *scratch, const char *name)
{
    struct why why;
    struct buf text = BUF_EMPTY;
    snprintf(peer->dir, sizeof peer->dir, "%s/%s", scratch, name);
    if (driver_run((const char *const[]){ "stele-witness", "init", peer->dir, "--name", "w.example/witness", NULL }) != 0)
        driver_die("init", NULL);
    char *path = path_join(peer->dir, "key.pub");
    if (file_read(path, sizeof peer->vkey_text - 1, &text, &why) != OK)
        driver_die("key.pub", &why);
    memcpy(peer->vkey_text, text.data, text.len);
    peer->vkey_text[text.len] = '\0';
    peer->vkey_text[strcspn(peer->vkey_text, "\n")] = '\0';
    if (vkey_parse(&peer->key, span_str(peer->vkey_text), SIG_COSIGNATURE, &why) != OK)
        driver_die("key.pub", &why);
    free(path);
    buf_free(&text);
}

void peer_add_log(const struct peer *peer, const char *vkey, const char *origin)
{
    if (driver_run((const char *const[]){ "stele-witness", "add-log", peer->dir, vkey, "--origin", origin, NULL }) != 0)
        driver_die("add-log", NULL);
}

bool peer_start_traced(struct peer *peer, const char *injection, const char *trace_file)
{
    int ends[2];
    char line[256] = "", trace[256] = "", inject[256] = "";
    size_t len = 0;
    const char *arguments[] = { "strace",        "-D",    "-f",      "-o",       trace_file,    "-e", trace, "-e", inject,
                                "stele-witness", "serve", peer->dir, "--listen", "127.0.0.1:0", NULL };
    if (injection != NULL) {
        snprintf(trace, sizeof trace, "trace=%.*s", (int)strcspn(injection, ":"), injection);
        snprintf(inject, sizeof inject, "inject=%s", injection);
    }
    if (pipe(ends) != 0)
        driver_die("pipe", NULL);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    peer->pid = spawn(injection != NULL ? arguments : arguments + 9, ends[1]);
    close(ends[1]);
    while (len + 1 < sizeof line && read(ends[0], line + len, 1) == 1 && line[len] != '\n')
        line[++len] = '\0';
    close(ends[0]);
    if (sscanf(line, "listening on %127s", peer->url) == 1)
        return true;
    if (injection == NULL)
        driver_die("the witness does not start", NULL);
    peer_stop(peer, SIGKILL);
    return false;
}

void peer_start(struct peer *peer)
{
    peer_start_traced(peer, NULL, NULL);
}

int peer_stop(struct peer *peer, int signal_number)
{
    kill(peer->pid, signal_number);
    return wait_for(peer->pid);
}

const char *peer_url(const struct peer *peer, const char *path)
{
    static char text[512];
    snprintf(text, sizeof text, "%s/%s", peer->url, path);
    return text;
}
