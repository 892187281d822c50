/*
 * A failure that did its work all the same: a library to preload. The N-th time that a process does one of the calls CALLS (names
 * with commas between them) to the file PATH, or to any file under it, the call is done, and then said to have failed with EIO.
 * strace's injections leave the call out.
 *
 * FAIL_CALL="CALLS:N:PATH". FAIL_HIT names a file of a page that is there: its first byte is `x` once that has come about. Calls
 * nothing that the signer's sandbox forbids.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/preload/real.h"

enum { FDS_MAX = 4096 };

static bool watched[FDS_MAX];
static char calls[64], under[PATH_MAX];
static atomic_int left;
static char *hit;

DECLARE(open);
DECLARE(close);
DECLARE(close_range);
DECLARE(write);
DECLARE(writev);
DECLARE(pwrite);
DECLARE(ftruncate);
DECLARE(fsync);
DECLARE(fdatasync);
DECLARE(rename);

static bool is_under(const char *path)
{
    size_t len = strlen(under);
    return len > 0 && strncmp(path, under, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool is_called(const char *name)
{
    const char *at = strstr(calls, name);
    return at != NULL && (at == calls || at[-1] == ',') && (at[strlen(name)] == ',' || at[strlen(name)] == '\0');
}

/* What the call is said to have come to. */
static long said(const char *name, bool ours, long result)
{
    if (!ours || result < 0 || !is_called(name) || atomic_fetch_sub(&left, 1) != 1)
        return result;
    *hit = 'x';
    errno = EIO;
    return -1;
}

static bool known(int fd)
{
    return fd >= 0 && fd < FDS_MAX && watched[fd];
}

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < FDS_MAX)
        watched[fd] = is_under(path);
    return fd;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return opened(REAL(open)(path, flags, mode), path);
}

/* What `open` becomes, with _FORTIFY_SOURCE, where the flags are no constant. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        watched[fd] = false;
    return REAL(close)(fd);
}

int close_range(unsigned from, unsigned to, int flags)
{
    for (unsigned i = from; i <= to && i < FDS_MAX; i++)
        watched[i] = false;
    return REAL(close_range)(from, to, flags);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return said("write", known(fd), REAL(write)(fd, data, len));
}

ssize_t writev(int fd, const struct iovec *text, int n)
{
    return said("writev", known(fd), REAL(writev)(fd, text, n));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return said("pwrite64", known(fd), REAL(pwrite)(fd, data, len, at));
}

int ftruncate(int fd, off_t len)
{
    return (int)said("ftruncate", known(fd), REAL(ftruncate)(fd, len));
}

int fsync(int fd)
{
    return (int)said("fsync", known(fd), REAL(fsync)(fd));
}

int fdatasync(int fd)
{
    return (int)said("fdatasync", known(fd), REAL(fdatasync)(fd));
}

int rename(const char *from, const char *to)
{
    return (int)said("rename", is_under(to), REAL(rename)(from, to));
}

/* The signer may look up nothing any more when it does its first of these. */
__attribute__((constructor)) static void begin(void)
{
    const char *what = getenv("FAIL_CALL"), *file = getenv("FAIL_HIT");
    int n = 0;
    if (what == NULL || file == NULL || sscanf(what, "%63[^:]:%d:%4095s", calls, &n, under) != 3)
        return;
    (void)REAL(open);
    (void)REAL(close);
    (void)REAL(close_range);
    (void)REAL(write);
    (void)REAL(writev);
    (void)REAL(pwrite);
    (void)REAL(ftruncate);
    (void)REAL(fsync);
    (void)REAL(fdatasync);
    (void)REAL(rename);
    int fd = REAL(open)(file, O_RDWR);
    hit = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (hit == MAP_FAILED) {
        fprintf(stderr, "FAIL_HIT: %s: %s\n", file, strerror(errno));
        _exit(99);
    }
    REAL(close)(fd);
    left = n;
}
