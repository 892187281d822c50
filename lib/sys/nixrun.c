#include "lib/sys/nixrun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/clock.h"

enum { NIX_TIMEOUT_MS = 30000, END_STEP_MS = 5 };

extern char **environ;

/* Reads until the writer is gone. */
static enum err read_all(int fd, uint64_t until_ms, size_t bytes_max, struct buf *out, struct why *why)
{
    size_t from = out->len;
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int ready = now_ms >= until_ms ? 0 : poll(&wait, 1, (int)(until_ms - now_ms));
        if (ready == 0)
            return fail(why, ERR_ENV, "it gives no answer");
        uint8_t chunk[16384];
        ssize_t got = ready < 0 ? -1 : read(fd, chunk, sizeof chunk);
        if (got < 0 && errno != EINTR)
            return fail(why, ERR_ENV, "what it says cannot be read: %s", strerror(errno));
        if (got == 0)
            return buf_done(out, why);
        if (got > 0 && out->len - from + (size_t)got > bytes_max)
            return fail(why, ERR_ENV, "it says more than %zu bytes", bytes_max);
        if (got > 0)
            buf_add(out, chunk, (size_t)got);
    }
}

/* Starts it with stdin and stderr from and to nowhere, stdout to `fd`. */
static int start(const char *const *argv, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return code;
    code = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    union {
        const char *const *given;
        char *const *wanted; /* POSIX promises not to write there */
    } words = { argv };
    if (code == 0)
        code = posix_spawnp(pid, argv[0], &actions, NULL, words.wanted, environ);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Waits for its end, that of its output having come. */
static enum err wait_for(pid_t pid, uint64_t until_ms, int *status, struct why *why)
{
    const struct timespec step = { .tv_nsec = END_STEP_MS * 1000000 };
    pid_t ended;
    while ((ended = waitpid(pid, status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (clock_monotonic_ms() >= until_ms)
            return fail(why, ERR_ENV, "it does not end");
        nanosleep(&step, NULL);
    }
    return OK;
}

enum err run_and_read(const char *const *argv, unsigned timeout_ms, size_t bytes_max, struct buf *out, struct why *why)
{
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;
    int ends[2], status = 0;
    pid_t pid;
    if (pipe(ends) != 0)
        return fail(why, ERR_ENV, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    int code = start(argv, ends[1], &pid);
    close(ends[1]);
    enum err err = code != 0 ? fail(why, ERR_ENV, "cannot run %s: %s", argv[0], strerror(code))
                             : read_all(ends[0], until_ms, bytes_max, out, why);
    close(ends[0]);
    if (code != 0)
        return err;
    if (err == OK)
        err = wait_for(pid, until_ms, &status, why);
    if (err != OK) {
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        return fail_in(why, err, "%s", argv[0]);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? OK : fail(why, ERR_ENV, "%s does not succeed", argv[0]);
}

enum err nixrun_config(struct nixconf *out, struct why *why)
{
    /* As Nix has called it from 2.20 on, then before; the last for one without --json there. */
    static const char *const forms[][6] = {
        { "nix", "--extra-experimental-features", "nix-command", "config", "show", NULL },
        { "nix", "--extra-experimental-features", "nix-command", "show-config", NULL },
    };
    enum err err = OK;
    for (size_t i = 0; i < 4; i++) {
        const char *argv[8] = { NULL };
        struct buf text = BUF_EMPTY;
        size_t n = 0;
        while (forms[i / 2][n] != NULL) {
            argv[n] = forms[i / 2][n];
            n++;
        }
        argv[n] = i % 2 == 0 ? "--json" : NULL;
        err = run_and_read(argv, NIX_TIMEOUT_MS, NIXCONF_BYTES_MAX, &text, why);
        if (err == OK)
            err = nixconf_parse(out, span_buf(&text), why);
        buf_free(&text);
        if (err == OK)
            return OK;
    }
    return fail_in(why, ERR_ENV, "what Nix is configured to do cannot be learnt (`nix show-config`)");
}
