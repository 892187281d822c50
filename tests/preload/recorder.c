/*
 * The recorder: a library to preload. It writes down what the files under TRACE_ROOT are told, and what is told to others, into
 * the file TRACE_FILE (tests/fault/cut/trace.h), which is there and has its full size.
 *
 * It calls nothing that the signer's sandbox forbids: after the start it writes to mapped memory only, and asks lseek and fstat.
 *
 * TRACE_DIE=WHAT:N:PATH kills a process at the N-th time that it does WHAT to PATH: `sync`, before it is done; `write-sync`, a
 * write by an O_DSYNC descriptor, when the write has been done but not the sync.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fault/cut/trace.h"
#include "tests/preload/real.h"

enum { FDS_MAX = 4096, BACKTRACE_MAX = 32 };

/* A descriptor of a file under TRACE_ROOT; inode 0: of none. */
struct known_fd {
    uint64_t inode;
    bool write_sync, watched;
};

static struct known_fd fds[FDS_MAX];
static struct trace_header *trace;
static uint64_t trace_bytes;
static char root[PATH_MAX];
static uint64_t code_from, code_to, code_base; /* the program's */
static uint64_t own_from, own_to;              /* this library's */
static uint32_t program;
static struct {
    char what[16], path[PATH_MAX];
    int left;
} die;

DECLARE(open);
DECLARE(close);
DECLARE(dup2);
DECLARE(close_range);
DECLARE(write);
DECLARE(writev);
DECLARE(pwrite);
DECLARE(ftruncate);
DECLARE(posix_fallocate);
DECLARE(fsync);
DECLARE(fdatasync);
DECLARE(syncfs);
DECLARE(rename);
DECLARE(unlink);
DECLARE(rmdir);
DECLARE(mkdir);
DECLARE(send);
DECLARE(sendmsg);

static struct trace_record *record(enum trace_kind kind, uint64_t inode, uint64_t at, const struct iovec *text, int text_n)
{
    void *stack[BACKTRACE_MAX];
    uint64_t frames[TRACE_FRAMES_MAX];
    uint16_t frames_n = 0;
    bool by_library = false;
    size_t text_bytes = 0;
    if (trace == NULL)
        return NULL;
    bool syncs = kind == TRACE_SYNC || kind == TRACE_SYNC_ALL;
    int stack_n = syncs || kind == TRACE_WRITE_SYNC ? backtrace(stack, BACKTRACE_MAX) : 0;
    for (int i = 0; i < stack_n && frames_n < TRACE_FRAMES_MAX; i++) {
        uint64_t address = (uint64_t)(uintptr_t)stack[i];
        bool own = address >= own_from && address < own_to;
        if (address >= code_from && address < code_to)
            frames[frames_n++] = address - code_base;
        else if (frames_n == 0 && !own)
            by_library = true;
    }
    if (syncs)
        at = by_library;
    for (int i = 0; i < text_n; i++)
        text_bytes += text[i].iov_len;
    size_t bytes = (sizeof(struct trace_record) + frames_n * sizeof *frames + text_bytes + 7) & ~(size_t)7;
    uint64_t where = atomic_fetch_add(&trace->used, bytes);
    if (where + bytes > trace_bytes) {
        atomic_store(&trace->full, 1);
        return NULL;
    }
    struct trace_record *out = (struct trace_record *)(void *)((char *)trace + where);
    *out = (struct trace_record){ .bytes = (uint32_t)bytes,
                                  .kind = (uint16_t)kind,
                                  .frames_n = frames_n,
                                  .inode = inode,
                                  .at = at,
                                  .program = kind == TRACE_PROGRAM ? (uint32_t)(where / 8) : program,
                                  .text_bytes = (uint32_t)text_bytes };
    memcpy(out->frames, frames, frames_n * sizeof *frames);
    char *to = (char *)(out->frames + frames_n);
    for (int i = 0; i < text_n; i++) {
        memcpy(to, text[i].iov_base, text[i].iov_len);
        to += text[i].iov_len;
    }
    return out;
}

static struct iovec text_of(const void *data, size_t len)
{
    union {
        const void *in;
        void *out;
    } base = { data };
    return (struct iovec){ base.out, len };
}

static void finish(struct trace_record *done, int64_t result)
{
    if (done == NULL)
        return;
    int before = errno;
    done->result = result;
    done->end = atomic_load(&trace->used);
    errno = before;
}

/* The absolute path where it lies under TRACE_ROOT, or is it; otherwise NULL. */
static const char *ours(const char *path, char out[PATH_MAX])
{
    size_t len = strlen(root);
    if (trace == NULL || path == NULL)
        return NULL;
    if (path[0] == '/')
        snprintf(out, PATH_MAX, "%s", path);
    else if (getcwd(out, PATH_MAX) == NULL || strlen(out) + strlen(path) + 2 > PATH_MAX)
        return NULL;
    else
        sprintf(out + strlen(out), "/%s", path);
    for (size_t end = strlen(out); end > 1 && (out[end - 1] == '/' || (out[end - 1] == '.' && out[end - 2] == '/'));)
        out[--end] = '\0';
    return strncmp(out, root, len) == 0 && (out[len] == '/' || out[len] == '\0') ? out : NULL;
}

static struct known_fd *known(int fd)
{
    return fd >= 0 && fd < FDS_MAX && fds[fd].inode != 0 ? &fds[fd] : NULL;
}

static void now_or_never(const struct known_fd *of, const char *what)
{
    if (of->watched && strcmp(die.what, what) == 0 && --die.left == 0)
        kill(getpid(), SIGKILL); /* or, in a sandbox, the kernel does it for the asking */
}

static void remember(int fd, const char *path, bool write_sync, bool created)
{
    struct stat st;
    if (fd < 0 || fd >= FDS_MAX || fstat(fd, &st) != 0)
        return;
    fds[fd] = (struct known_fd){ st.st_ino, write_sync, strcmp(path, die.path) == 0 };
    struct iovec text = text_of(path, strlen(path));
    finish(record(created ? TRACE_CREATE : TRACE_OPEN, st.st_ino, 0, &text, 1), fd);
}

int open(const char *path, int flags, ...)
{
    char full[PATH_MAX];
    struct stat st;
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    const char *name = ours(path, full);
    bool there = name == NULL || stat(path, &st) == 0;
    int fd = REAL(open)(path, flags, mode);
    if (name != NULL && fd >= 0)
        remember(fd, name, (flags & O_DSYNC) != 0, !there);
    if (name != NULL && fd >= 0 && (flags & O_TRUNC) != 0 && there)
        finish(record(TRACE_RESIZE, fds[fd].inode, 0, NULL, 0), 0);
    return fd;
}

/* What `open` becomes, with _FORTIFY_SOURCE, where the flags are no constant. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

static void forget(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        fds[fd].inode = 0;
}

int close(int fd)
{
    forget(fd);
    return REAL(close)(fd);
}

int dup2(int from, int to)
{
    int fd = REAL(dup2)(from, to);
    if (fd >= 0 && fd < FDS_MAX && from >= 0 && from < FDS_MAX && from != to)
        fds[fd] = fds[from];
    return fd;
}

int close_range(unsigned from, unsigned to, int flags)
{
    for (unsigned i = from; i <= to && i < FDS_MAX; i++)
        forget((int)i);
    return REAL(close_range)(from, to, flags);
}

/* One write, which `call` does; at -1: where the descriptor stands. */
static ssize_t tell(int fd, const struct iovec *text, int n, off_t at, ssize_t (*call)(int, const struct iovec *, int, off_t))
{
    const struct known_fd *of = known(fd);
    struct trace_record *begun = NULL;
    if (of != NULL)
        begun = record(of->write_sync ? TRACE_WRITE_SYNC : TRACE_WRITE, of->inode,
                       (uint64_t)(at >= 0 ? at : lseek(fd, 0, SEEK_CUR)), text, n);
    else if (fd == STDOUT_FILENO)
        begun = record(TRACE_SAY, 0, 0, text, n);
    ssize_t got = call(fd, text, n, at);
    if (of != NULL && of->write_sync)
        now_or_never(of, "write-sync");
    finish(begun, got);
    return got;
}

static ssize_t call_write(int fd, const struct iovec *text, int n, off_t at)
{
    (void)n;
    (void)at;
    return REAL(write)(fd, text->iov_base, text->iov_len);
}

static ssize_t call_writev(int fd, const struct iovec *text, int n, off_t at)
{
    (void)at;
    return REAL(writev)(fd, text, n);
}

static ssize_t call_pwrite(int fd, const struct iovec *text, int n, off_t at)
{
    (void)n;
    return REAL(pwrite)(fd, text->iov_base, text->iov_len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct iovec text = text_of(data, len);
    return tell(fd, &text, 1, -1, call_write);
}

ssize_t writev(int fd, const struct iovec *text, int n)
{
    return tell(fd, text, n, -1, call_writev);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    struct iovec text = text_of(data, len);
    return tell(fd, &text, 1, at, call_pwrite);
}

int ftruncate(int fd, off_t len)
{
    const struct known_fd *of = known(fd);
    struct trace_record *begun = of == NULL ? NULL : record(TRACE_RESIZE, of->inode, (uint64_t)len, NULL, 0);
    int got = REAL(ftruncate)(fd, len);
    finish(begun, got);
    return got;
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    const struct known_fd *of = known(fd);
    struct trace_record *begun = of == NULL ? NULL : record(TRACE_RESIZE, of->inode, (uint64_t)(at + len), NULL, 0);
    int got = REAL(posix_fallocate)(fd, at, len);
    finish(begun, got);
    return got;
}

static int sync_by(int fd, enum trace_kind kind, int (*call)(int))
{
    const struct known_fd *of = known(fd);
    struct trace_record *begun = of == NULL ? NULL : record(kind, of->inode, 0, NULL, 0);
    if (of != NULL)
        now_or_never(of, "sync");
    int got = call(fd);
    finish(begun, got);
    return got;
}

int fsync(int fd)
{
    return sync_by(fd, TRACE_SYNC, REAL(fsync));
}

int fdatasync(int fd)
{
    return sync_by(fd, TRACE_SYNC, REAL(fdatasync));
}

int syncfs(int fd)
{
    return sync_by(fd, TRACE_SYNC_ALL, REAL(syncfs));
}

int rename(const char *from, const char *to)
{
    char full_from[PATH_MAX], full_to[PATH_MAX];
    const char *a = ours(from, full_from), *b = ours(to, full_to);
    struct trace_record *begun = NULL;
    if (a != NULL && b != NULL) {
        struct iovec text[] = { text_of(a, strlen(a) + 1), text_of(b, strlen(b)) };
        begun = record(TRACE_RENAME, 0, 0, text, 2);
    }
    int got = REAL(rename)(from, to);
    finish(begun, got);
    return got;
}

/* A name goes. */
static int remove_by(const char *path, int (*call)(const char *))
{
    char full[PATH_MAX];
    const char *name = ours(path, full);
    struct iovec text = text_of(name, name == NULL ? 0 : strlen(name));
    struct trace_record *begun = name == NULL ? NULL : record(TRACE_UNLINK, 0, 0, &text, 1);
    int got = call(path);
    finish(begun, got);
    return got;
}

int unlink(const char *path)
{
    return remove_by(path, REAL(unlink));
}

int rmdir(const char *path)
{
    return remove_by(path, REAL(rmdir));
}

int mkdir(const char *path, mode_t mode)
{
    char full[PATH_MAX];
    struct stat st;
    const char *name = ours(path, full);
    int got = REAL(mkdir)(path, mode);
    if (name != NULL && got == 0 && stat(path, &st) == 0) {
        struct iovec text = text_of(name, strlen(name));
        finish(record(TRACE_MKDIR, st.st_ino, 0, &text, 1), 0);
    }
    return got;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    struct iovec text = text_of(data, len);
    struct trace_record *begun = record(TRACE_SEND, 0, 0, &text, 1);
    ssize_t got = REAL(send)(fd, data, len, flags);
    finish(begun, got);
    return got;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct trace_record *begun = record(TRACE_SEND, 0, 0, message->msg_iov, (int)message->msg_iovlen);
    ssize_t got = REAL(sendmsg)(fd, message, flags);
    finish(begun, got);
    return got;
}

/* The first object is the program itself. */
static int find_code(struct dl_phdr_info *info, size_t size, void *ctx)
{
    bool *first = ctx;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uint64_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, to = from + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type != PT_LOAD || (info->dlpi_phdr[i].p_flags & PF_X) == 0)
            continue;
        if (*first) {
            code_base = info->dlpi_addr;
            code_from = from;
            code_to = to;
        }
        if ((uint64_t)(uintptr_t)find_code >= from && (uint64_t)(uintptr_t)find_code < to) {
            own_from = from;
            own_to = to;
        }
    }
    *first = false;
    return 0;
}

static void resolve_all(void)
{
    (void)REAL(open), (void)REAL(close), (void)REAL(dup2), (void)REAL(close_range), (void)REAL(write);
    (void)REAL(writev), (void)REAL(pwrite), (void)REAL(ftruncate), (void)REAL(posix_fallocate), (void)REAL(fsync);
    (void)REAL(fdatasync), (void)REAL(syncfs), (void)REAL(rename), (void)REAL(unlink), (void)REAL(rmdir), (void)REAL(mkdir),
        (void)REAL(send), (void)REAL(sendmsg);
}

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("TRACE_FILE"), *under = getenv("TRACE_ROOT"), *when = getenv("TRACE_DIE");
    char self[PATH_MAX];
    struct stat st;
    void *warm[1];
    resolve_all();
    backtrace(warm, 1); /* its library is loaded now, not behind the sandbox */
    if (file == NULL || under == NULL)
        return;
    dl_iterate_phdr(find_code, &(bool){ true });
    snprintf(root, sizeof root, "%s", under);
    if (when != NULL && sscanf(when, "%15[^:]:%d:%4095s", die.what, &die.left, die.path) != 3)
        abort();
    int fd = REAL(open)(file, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        abort();
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REAL(close)(fd);
    if (at == MAP_FAILED)
        abort();
    trace = at;
    trace_bytes = (uint64_t)st.st_size;
    uint64_t none = 0;
    if (atomic_compare_exchange_strong(&trace->used, &none, sizeof *trace))
        trace->magic = TRACE_MAGIC;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self);
    struct iovec text = text_of(self, len < 0 ? 0 : (size_t)len);
    struct trace_record *begun = record(TRACE_PROGRAM, 0, 0, &text, 1);
    if (begun != NULL)
        program = begun->program;
    finish(begun, 0);
}
