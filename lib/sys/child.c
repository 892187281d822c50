#define _GNU_SOURCE /* close_range, SOCK_CLOEXEC */
#include "lib/sys/child.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/sanitized.h"

struct child {
    int socket;
    pid_t pid;
    const char *name;
    pthread_mutex_t lock;
    bool dead;
    struct why why_dead;
};

/* The child's frames have an enum err before the bytes, so that a refusal to go on has a reason. There is room for both, and for
 * the length, at the start of `frame`. */
enum { REPLY_HEAD_BYTES = FRAME_HEAD_BYTES + 1 };
static bool start_reply(struct buf *frame)
{
    buf_clear(frame);
    return buf_grow(frame, REPLY_HEAD_BYTES) != NULL;
}

static bool write_reply(int fd, enum err status, struct buf *frame)
{
    if (frame->failed)
        return false;
    frame->data[FRAME_HEAD_BYTES] = (uint8_t)status;
    return frame_write(fd, frame);
}

/* What the child may still ask of the kernel: use what is open, memory, time, and end. */
static enum err sandbox(struct why *why)
{
    static const int allowed[] = {
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(pwrite64),
        SCMP_SYS(fdatasync),
        SCMP_SYS(fsync),
        SCMP_SYS(close),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(brk),
        SCMP_SYS(mmap),
        SCMP_SYS(munmap),
        SCMP_SYS(mremap),
        SCMP_SYS(mprotect),
        SCMP_SYS(madvise),
        SCMP_SYS(mlock),
        SCMP_SYS(munlock),
        SCMP_SYS(futex),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(gettimeofday),
        SCMP_SYS(getrandom),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(lseek),
        SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(getpid),
        SCMP_SYS(sched_yield),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(sched_getaffinity), /* newer C libraries count the processors before they give random bytes */
        -1,                          /* none: what a tracer makes of a call that is to fail (tests/fault) */
    };
    if (SANITIZED) /* whose run time maps, clones and traces as it likes */
        return OK;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int failed = filter == NULL ? -ENOMEM : seccomp_attr_set(filter, SCMP_FLTATR_API_TSKIP, 1);
    if (failed == 0)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* for the threads that `start` made, too */
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (failed == 0)
        failed = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    return failed == 0 ? OK : fail(why, ERR_ENV, "the kernel takes no seccomp filter: %s", strerror(-failed));
}

static int by_byte(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* What the C library asks of the system once, and then knows: behind the sandbox it could not ask any more. */
static void ask_ahead(void)
{
    uint8_t sorted[4096] = { 0 };
    /* Its threads share one heap: one of a thread's own asks how many processors there are when it is made, and opens a file of
     * /proc when it shrinks. */
    mallopt(M_ARENA_MAX, 1);
    tzset(); /* a report's time of day wants the time zone's file */
    /* Before it takes memory to sort in, how much there is. */
    qsort(sorted, sizeof sorted, 1, by_byte);
}

/* No core dump, no tracer, no new privileges, no life without the parent, nothing open but stdio and the socket. */
static enum err harden(pid_t parent, int *fd, struct why *why)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
    struct rlimit none = { 0, 0 };
    ask_ahead();
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        return fail(why, ERR_ENV, "the parent process is gone");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return fail(why, ERR_ENV, "cannot give up privileges: %s", strerror(errno));
    if (*fd != 3) {
        if (dup2(*fd, 3) < 0)
            return fail(why, ERR_ENV, "cannot move a socket: %s", strerror(errno));
        *fd = 3;
    }
    if (close_range(4, ~0U, 0) != 0)
        for (int i = 4; i < 1024; i++)
            close(i);
    return OK;
}

enum { EXIT_LOST = 0, EXIT_TOLD = 1 }; /* of a child: its last frame says why it ends */

static void run_child(const struct child_role *role, pid_t parent, int fd)
{
    struct buf storage = BUF_EMPTY, reply = BUF_EMPTY;
    struct span request;
    struct why why = { "" };
    enum err err = harden(parent, &fd, &why);
    bool told = false;
    if (!start_reply(&reply))
        _exit(EXIT_LOST);
    if (err == OK)
        err = role->start(role->ctx, &reply, &why);
    if (err == OK)
        err = sandbox(&why);
    while (err == OK && write_reply(fd, OK, &reply)) {
        if (!frame_read(fd, &storage, &request) || !start_reply(&reply))
            break;
        err = role->serve(role->ctx, request, &reply, &why);
    }
    if (err != OK && start_reply(&reply)) {
        buf_str(&reply, why.text);
        told = write_reply(fd, err, &reply);
    }
    if (role->end != NULL)
        role->end(role->ctx);
    _exit(told ? EXIT_TOLD : EXIT_LOST);
}

static enum err died(struct child *child, struct why *why)
{
    if (!child->dead)
        fail(&child->why_dead, ERR_ENV, "%s ended unexpectedly; restart to have everything checked", child->name);
    child->dead = true;
    return fail(why, ERR_ENV, "%s", child->why_dead.text);
}

/* One reply frame; its status other than OK is the child's last word. */
static enum err take_reply(struct child *child, struct buf *reply, struct why *why)
{
    struct buf storage = BUF_EMPTY;
    struct span frame;
    enum err err = OK;
    if (!frame_read(child->socket, &storage, &frame) || frame.len == 0) {
        err = died(child, why);
    } else if (frame.data[0] != OK) {
        child->dead = true;
        err = fail(&child->why_dead, (enum err)frame.data[0], "%.*s", SPAN_FMT(span_of(frame.data + 1, frame.len - 1)));
        fail(why, err, "%s", child->why_dead.text);
    } else if (reply != NULL) {
        buf_add(reply, frame.data + 1, frame.len - 1);
        err = buf_done(reply, why);
    }
    buf_free(&storage);
    return err;
}

enum err child_start(struct child **out, const struct child_role *role, struct buf *hello, struct why *why)
{
    int sockets[2];
    *out = NULL;
    struct child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        free(child);
        return fail(why, ERR_ENV, "cannot make a socket pair: %s", strerror(errno));
    }
    pid_t parent = getpid();
    child->name = role->name;
    child->socket = sockets[0];
    pthread_mutex_init(&child->lock, NULL);
    child->pid = fork();
    if (child->pid == 0) {
        close(sockets[0]); /* while the child holds it too, wherever it stands, there is no end to see */
        run_child(role, parent, sockets[1]);
    }
    close(sockets[1]);
    enum err err = child->pid < 0 ? fail(why, ERR_ENV, "cannot fork: %s", strerror(errno)) : take_reply(child, hello, why);
    if (err != OK) {
        child_stop(child);
        return err;
    }
    *out = child;
    return OK;
}

enum err child_call(struct child *child, struct span request, struct buf *reply, struct why *why)
{
    if (request.len > FRAME_BYTES_MAX)
        return fail(why, ERR_REFUSED, "a request of %zu bytes to %s, more than %d", request.len, child->name, FRAME_BYTES_MAX);
    pthread_mutex_lock(&child->lock);
    enum err err = child->dead ? died(child, why) : OK;
    if (err == OK && !frame_send(child->socket, request))
        err = died(child, why);
    if (err == OK && take_reply(child, reply, why) != OK)
        err = ERR_ENV;
    pthread_mutex_unlock(&child->lock);
    return err;
}

enum err child_lives(const struct child *child, struct why *why)
{
    siginfo_t end = { .si_pid = 0 };
    if (waitid(P_PID, (id_t)child->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0)
        return OK;
    if (end.si_code == CLD_EXITED)
        return end.si_status == EXIT_TOLD ? OK : fail(why, ERR_ENV, "%s ended unexpectedly", child->name);
    return fail(why, ERR_ENV, "%s ended unexpectedly, by signal %d", child->name, end.si_status);
}

void child_stop(struct child *child)
{
    if (child == NULL)
        return;
    close(child->socket);
    while (child->pid > 0 && waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    pthread_mutex_destroy(&child->lock);
    free(child);
}
