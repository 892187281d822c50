#define _GNU_SOURCE /* syncfs */
#include "lib/sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/clock.h"

static enum err fail_errno(struct why *why, const char *what, const char *path)
{
    return fail(why, ERR_ENV, "cannot %s %s: %s", what, path, strerror(errno));
}

char *path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    char *path = malloc(len);
    if (path != NULL)
        snprintf(path, len, "%s/%s", dir, name);
    return path;
}

char *path_from(const char *dir, const char *name)
{
    return name[0] == '/' ? span_dup_str(span_str(name)) : path_join(dir, name);
}

/* The folder of a path: "." where there is no slash. The caller frees it. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return span_dup_str(span_str("."));
    return span_dup_str(span_of(path, slash == path ? 1 : (size_t)(slash - path)));
}

static enum err read_all(int fd, const char *path, size_t bytes_max, struct buf *out, struct why *why)
{
    size_t before = out->len;
    for (;;) {
        uint8_t *at = buf_grow(out, 65536);
        if (at == NULL)
            return fail(why, ERR_ENV, "out of memory");
        ssize_t got = read(fd, at, 65536);
        out->len -= got > 0 ? 65536 - (size_t)got : 65536;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(why, "read", path);
        if (out->len - before > bytes_max)
            return fail(why, ERR_ENV, "%s has more than %zu bytes", path, bytes_max);
        if (got == 0)
            return OK;
    }
}

enum err file_read_if(const char *path, size_t bytes_max, struct buf *out, bool *found, struct why *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? OK : fail_errno(why, "open", path);
    enum err err = OK;
    if (fstat(fd, &st) != 0)
        err = fail_errno(why, "read", path);
    else if (!S_ISREG(st.st_mode))
        err = fail(why, ERR_ENV, "%s is not a regular file", path);
    else
        err = read_all(fd, path, bytes_max, out, why);
    close(fd);
    return err;
}

enum err file_read(const char *path, size_t bytes_max, struct buf *out, struct why *why)
{
    bool found;
    enum err err = file_read_if(path, bytes_max, out, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_ENV, "there is no file %s", path);
    return err;
}

static enum err write_all(int fd, const char *path, struct span content, struct why *why)
{
    while (content.len > 0) {
        ssize_t put = write(fd, content.data, content.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_errno(why, "write", path);
        content = span_of(content.data + put, content.len - (size_t)put);
    }
    return OK;
}

static enum err sync_path(const char *path, int flags, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return fail_errno(why, "open", path);
    enum err err = fsync(fd) == 0 ? OK : fail_errno(why, "sync", path);
    close(fd);
    return err;
}

enum err file_sync(const char *path, struct why *why)
{
    return sync_path(path, O_NOFOLLOW, why);
}

enum err dir_sync(const char *path, struct why *why)
{
    return sync_path(path, O_DIRECTORY, why);
}

enum err dir_open(const char *path, int *fd, struct why *why)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? fail_errno(why, "open", path) : OK;
}

enum err file_system_sync(int fd, const char *path, struct why *why)
{
    return syncfs(fd) == 0 ? OK : fail_errno(why, "sync the file system of", path);
}

enum err dir_sync_all(const char *path, struct why *why)
{
    int fd;
    enum err err = dir_open(path, &fd, why);
    if (err != OK)
        return err;
    err = file_system_sync(fd, path, why);
    close(fd);
    return err;
}

static enum err sync_parent(const char *path, struct why *why)
{
    char *dir = parent_of(path);
    enum err err = dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_sync(dir, why);
    free(dir);
    return err;
}

/* Writes, syncs where asked, and closes `fd`. */
static enum err fill(int fd, const char *path, mode_t mode, struct span content, bool sync, struct why *why)
{
    enum err err = fchmod(fd, mode) == 0 ? OK : fail_errno(why, "set the mode of", path);
    if (err == OK)
        err = write_all(fd, path, content, why);
    if (err == OK && sync && fsync(fd) != 0)
        err = fail_errno(why, "sync", path);
    if (close(fd) != 0 && err == OK)
        err = fail_errno(why, "write", path);
    return err;
}

enum err file_create(const char *path, mode_t mode, struct span content, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? fail(why, ERR_ENV, "%s exists already, and is not overwritten", path)
                               : fail_errno(why, "create", path);
    enum err err = fill(fd, path, mode, content, true, why);
    if (err == OK)
        err = sync_parent(path, why);
    if (err != OK)
        unlink(path);
    return err;
}

enum err file_copy_if(const char *from, const char *to, mode_t mode, size_t bytes_max, struct why *why)
{
    struct buf content = BUF_EMPTY;
    bool found = false;
    enum err err = file_read_if(from, bytes_max, &content, &found, why);
    if (err == OK && found)
        err = file_create(to, mode, span_buf(&content), why);
    buf_free(&content);
    return err;
}

/* A new file whose name is `name` with other letters in place of the last six. As mkstemp, but not for the programs that another
 * thread starts meanwhile. */
static int create_unlike(char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t random[6];
    int fd = -1;
    do {
        if (getrandom(random, sizeof random, 0) != sizeof random)
            return -1;
        for (size_t i = 0; i < sizeof random; i++)
            name[strlen(name) - sizeof random + i] = letters[random[i] % (sizeof letters - 1)];
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EEXIST);
    return fd;
}

static enum err replace(const char *path, mode_t mode, struct span content, bool sync, struct why *why)
{
    /* Beside the file, in its file system, hidden from dir_each, and unlike any other process's. */
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t len = strlen(path) + 16;
    char *temporary = malloc(len);
    if (temporary == NULL)
        return fail(why, ERR_ENV, "out of memory");
    snprintf(temporary, len, "%.*s.%s.XXXXXX", (int)(name - path), path, name);
    int fd = create_unlike(temporary);
    enum err err = fd < 0 ? fail_errno(why, "create a file beside", path) : fill(fd, temporary, mode, content, sync, why);
    if (err == OK && rename(temporary, path) != 0)
        err = fail_errno(why, "replace", path);
    if (fd >= 0 && err != OK)
        unlink(temporary);
    if (err == OK && sync)
        err = sync_parent(path, why);
    free(temporary);
    return err;
}

enum err file_replace(const char *path, mode_t mode, struct span content, struct why *why)
{
    return replace(path, mode, content, true, why);
}

enum err file_replace_soft(const char *path, mode_t mode, struct span content, struct why *why)
{
    return replace(path, mode, content, false, why);
}

enum err file_create_soft(const char *path, mode_t mode, struct span content, bool *exists, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    *exists = fd < 0 && errno == EEXIST;
    if (fd < 0)
        return *exists ? OK : fail_errno(why, "create", path);
    enum err err = write_all(fd, path, content, why);
    if (close(fd) != 0 && err == OK)
        err = fail_errno(why, "write", path);
    if (err != OK)
        unlink(path);
    return err;
}

enum err file_remove(const char *path, struct why *why)
{
    if (unlink(path) != 0)
        return errno == ENOENT ? OK : fail_errno(why, "remove", path);
    return sync_parent(path, why);
}

/* What root makes in another's folder is that one's: a look at the gate's state by root locks the gate out of nothing. Only what was
 * made just now is given away, by its descriptor; where even root may not (a service without powers) it stays as it is. */
static void give_to_folder(int fd, const char *path)
{
    struct stat folder;
    char *parent = geteuid() == 0 && fd >= 0 ? parent_of(path) : NULL;
    if (parent != NULL && stat(parent, &folder) == 0 && folder.st_uid != 0 && fchown(fd, folder.st_uid, folder.st_gid) != 0)
        errno = 0;
    free(parent);
}

static enum err make_one(const char *path, mode_t mode, bool give, struct why *why)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? OK : fail_errno(why, "create the folder", path);
    int fd = give ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    give_to_folder(fd, path);
    if (fd >= 0)
        close(fd);
    return OK;
}

static enum err make_folder(const char *path, mode_t mode, bool give, struct why *why)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? OK : fail(why, ERR_ENV, "%s is not a folder", path);
    char *parent = parent_of(path);
    enum err err = parent == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && strcmp(parent, path) != 0)
        err = make_folder(parent, 0755, give, why);
    if (err == OK)
        err = make_one(path, mode, give, why);
    if (err == OK)
        err = dir_sync(parent, why);
    free(parent);
    return err;
}

enum err dir_make(const char *path, mode_t mode, struct why *why)
{
    return make_folder(path, mode, true, why);
}

static enum err no_files(void *ctx, const char *name, struct why *why)
{
    return fail(why, ERR_REFUSED, "the folder is not empty (%s is in it): a %s gets one of its own", name, *(const char **)ctx);
}

enum err dir_make_empty(const char *path, mode_t mode, const char *what, struct why *why)
{
    enum err err = make_folder(path, mode, false, why);
    if (err != OK)
        return err;
    if ((err = dir_each(path, no_files, &what, why)) == ERR_REFUSED)
        fail_in(why, err, "%s", path);
    return err;
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

enum err dir_each(const char *path, enum err (*each)(void *ctx, const char *name, struct why *why), void *ctx, struct why *why)
{
    struct dirent **entries;
    int n = scandir(path, &entries, not_hidden, by_bytes);
    enum err err = OK;
    if (n < 0)
        return fail_errno(why, "list", path);
    for (int i = 0; i < n; i++) {
        if (err == OK)
            err = each(ctx, entries[i]->d_name, why);
        free(entries[i]);
    }
    free(entries);
    return err;
}

enum err dir_ours(const char *dir, struct why *why)
{
    struct stat st;
    if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
        return OK;
    char name[1024];
    struct passwd user, *found = NULL;
    if (getpwuid_r(st.st_uid, &user, name, sizeof name, &found) != 0 || found == NULL)
        return fail(why, ERR_REFUSED, "%s belongs to the user %u, who could not read what root wrote there: run this as that user",
                    dir, (unsigned)st.st_uid);
    return fail(why, ERR_REFUSED, "%s belongs to %s, who could not read what root wrote there: run this as `runuser -u %s -- ...`",
                dir, user.pw_name, user.pw_name);
}

enum err dir_lock(const char *dir, unsigned wait_ms, struct why *why)
{
    const struct timespec step = { .tv_nsec = 20 * 1000 * 1000 };
    uint64_t until_ms = clock_monotonic_ms() + wait_ms;
    char *path = path_join(dir, "lock");
    if (path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = dir_ours(dir, why);
    int fd = err != OK ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (err == OK && fd < 0)
        err = fail_errno(why, "open", path);
    while (err == OK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (clock_monotonic_ms() >= until_ms)
            err = fail(why, ERR_ENV, "another process uses %s already", dir);
        else
            nanosleep(&step, NULL);
    }
    if (err != OK && fd >= 0)
        close(fd);
    free(path);
    return err; /* the descriptor stays open, and the lock held, until the process ends */
}

enum err file_lock(const char *path, int *fd, struct why *why)
{
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd >= 0)
        give_to_folder(*fd, path);
    else if (errno == EEXIST)
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (*fd >= 0 && flock(*fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(*fd);
            *fd = -1;
        }
    return *fd < 0 ? fail_errno(why, "lock", path) : OK;
}

bool dir_locked(const char *dir)
{
    char *path = path_join(dir, "lock");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

enum err disk_free(const char *path, uint64_t *bytes, struct why *why)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return fail_errno(why, "ask for the free space of", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return OK;
}

void files_open_many(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
