/* The system calls on files of the code under test. Any of them may fail, and at any of them others may run, or the process end. */
#define _GNU_SOURCE /* O_DIRECTORY */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/sim/disk.h"

static int fd_of(struct inode *inode, bool append)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (!disk_fds[i].used) {
            disk_fds[i] = (struct fd){ true, inode, sim_machine(), 0, append };
            return FD_FIRST + i;
        }
    errno = EMFILE;
    return -1;
}

static struct fd *file_of(int fd)
{
    return fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX && disk_fds[fd - FD_FIRST].used ? &disk_fds[fd - FD_FIRST] : NULL;
}

static bool fails(bool writes)
{
    if (sim_machine() == NULL)
        return false;
    sim_yield();
    if (sim_chance(sim_faults.io_error))
        errno = EIO;
    else if (writes && sim_chance(sim_faults.no_space))
        errno = ENOSPC;
    else
        return false;
    sim_say("%s: the disk fails: %s", sim_machine()->name, errno == EIO ? "EIO" : "ENOSPC");
    return true;
}

static struct inode *create(const char *path, int flags, mode_t mode)
{
    char name[256];
    struct inode *folder = disk_parent(path, name), **there;
    if (folder == NULL)
        return NULL;
    if ((there = disk_find(folder, false, name)) != NULL) {
        errno = EEXIST;
        return (flags & O_EXCL) != 0 ? NULL : *there;
    }
    return fails(true) ? NULL : disk_make(folder, name, false, mode);
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    struct inode *inode = (flags & O_CREAT) != 0 ? create(path, flags, mode) : disk_lookup(path);
    if (inode == NULL)
        return -1;
    if ((flags & O_DIRECTORY) != 0 && !inode->folder) {
        errno = ENOTDIR;
        return -1;
    }
    if ((flags & O_TRUNC) != 0 && inode->seen.len > 0) {
        inode->seen.len = 0;
        disk_change(inode, CHANGE_RESIZE)->at = 0;
    }
    return fd_of(inode, (flags & O_APPEND) != 0);
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)sim_below(256);
    return (ssize_t)len;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    struct fd *file = file_of(fd);
    if (file == NULL)
        return __real_close(fd);
    disk_close(file);
    return 0;
}

static ssize_t take(struct fd *file, void *out, size_t len, uint64_t at)
{
    if (fails(false))
        return -1;
    uint64_t left = at < file->inode->seen.len ? file->inode->seen.len - at : 0;
    len = len < left ? len : (size_t)left;
    memcpy(out, file->inode->seen.data + at, len);
    return (ssize_t)len;
}

static ssize_t put(struct fd *file, const void *bytes, size_t len, uint64_t at)
{
    if (fails(true)) {
        /* A write that fails may have done a part. */
        len = (size_t)sim_below(len);
        if (len == 0 || errno != ENOSPC)
            return -1;
    }
    struct change *change = disk_change(file->inode, CHANGE_WRITE);
    change->at = at;
    buf_span(&change->bytes, span_of(bytes, len));
    disk_set(&file->inode->seen, at, span_of(bytes, len));
    sim_yield();
    return (ssize_t)len;
}

ssize_t __real_read(int fd, void *out, size_t len);
ssize_t __wrap_read(int fd, void *out, size_t len);
ssize_t __wrap_read(int fd, void *out, size_t len)
{
    struct fd *file = file_of(fd);
    if (file == NULL)
        return __real_read(fd, out, len);
    ssize_t got = take(file, out, len, file->at);
    file->at += got > 0 ? (uint64_t)got : 0;
    return got;
}

ssize_t __wrap_pread(int fd, void *out, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *out, size_t len, off_t at)
{
    return take(disk_need(file_of(fd)), out, len, (uint64_t)at);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    struct fd *file = file_of(fd);
    if (file == NULL)
        return __real_write(fd, bytes, len);
    ssize_t done = put(file, bytes, len, file->append ? file->inode->seen.len : file->at);
    file->at += done > 0 ? (uint64_t)done : 0;
    return done;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return put(disk_need(file_of(fd)), bytes, len, (uint64_t)at);
}

int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    struct fd *file = disk_need(file_of(fd));
    if (fails(true))
        return -1;
    disk_resize(&file->inode->seen, (uint64_t)size);
    disk_change(file->inode, CHANGE_RESIZE)->at = (uint64_t)size;
    return 0;
}

/* A sync that fails leaves on the disk what it likes, and the system takes the pages for clean: no later sync writes them. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct fd *file = disk_need(file_of(fd));
    struct inode *inode = file->inode;
    if (fails(true)) {
        disk_settle(inode, false);
        return -1;
    }
    if (!sim_faults.syncs_lie)
        disk_settle(inode, true);
    sim_yield();
    return 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    return __wrap_fsync(fd);
}

int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    char from_name[256], to_name[256];
    struct inode *folder = disk_parent(from, from_name), *other = disk_parent(to, to_name), **inode;
    if (folder == NULL || other == NULL || (inode = disk_find(folder, false, from_name)) == NULL)
        return -1;
    if (fails(true))
        return -1;
    struct inode *moved = *inode;
    disk_unname(folder, false, from_name);
    disk_name(other, false, to_name, moved);
    struct change *change = disk_change(other, folder == other ? CHANGE_RENAME : CHANGE_LINK);
    change->name = disk_copy(folder == other ? from_name : to_name, strlen(folder == other ? from_name : to_name));
    change->to = disk_copy(to_name, strlen(to_name));
    change->inode = moved;
    if (folder != other)
        disk_change(folder, CHANGE_UNLINK)->name = disk_copy(from_name, strlen(from_name));
    return 0;
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    char name[256];
    struct inode *folder = disk_parent(path, name);
    if (folder == NULL || disk_find(folder, false, name) == NULL) {
        errno = ENOENT;
        return -1;
    }
    disk_unname(folder, false, name);
    disk_change(folder, CHANGE_UNLINK)->name = disk_copy(name, strlen(name));
    return 0;
}

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
    return __wrap_unlink(path);
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    char name[256];
    struct inode *folder = disk_parent(path, name);
    if (folder == NULL)
        return -1;
    if (disk_find(folder, false, name) != NULL) {
        errno = EEXIST;
        return -1;
    }
    if (fails(true))
        return -1;
    disk_make(folder, name, true, mode);
    return 0;
}

static void describe(const struct inode *inode, struct stat *out)
{
    memset(out, 0, sizeof *out);
    out->st_mode = inode->mode | (inode->folder ? S_IFDIR : S_IFREG);
    out->st_size = (off_t)inode->seen.len;
    out->st_ino = inode->number;
    out->st_nlink = 1;
}

int __wrap_fstat(int fd, struct stat *out);
int __wrap_fstat(int fd, struct stat *out)
{
    describe(((struct fd *)disk_need(file_of(fd)))->inode, out);
    return 0;
}

int __wrap_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out)
{
    struct inode *inode = disk_lookup(path);
    if (inode == NULL)
        return -1;
    describe(inode, out);
    return 0;
}

int __wrap_lstat(const char *path, struct stat *out);
int __wrap_lstat(const char *path, struct stat *out)
{
    return __wrap_stat(path, out);
}

int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
    (void)mode;
    return disk_lookup(path) == NULL ? -1 : 0;
}

int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode)
{
    ((struct fd *)disk_need(file_of(fd)))->inode->mode = mode;
    return 0;
}

int __wrap_statvfs(const char *path, struct statvfs *out);
int __wrap_statvfs(const char *path, struct statvfs *out)
{
    memset(out, 0, sizeof *out);
    out->f_frsize = 1;
    out->f_bavail = disk_free_bytes;
    return disk_lookup(path) == NULL ? -1 : 0;
}

int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    struct fd *file = disk_need(file_of(fd));
    if (file->inode->locked != NULL && file->inode->locked != file) {
        if ((how & LOCK_NB) != 0) {
            errno = EWOULDBLOCK;
            return -1;
        }
        while (file->inode->locked != NULL)
            sim_sleep_us(1000);
    }
    file->inode->locked = how == LOCK_UN ? NULL : file;
    return 0;
}

int __wrap_scandir(const char *path, struct dirent ***out, int (*filter)(const struct dirent *),
                   int (*compare)(const struct dirent **, const struct dirent **));
int __wrap_scandir(const char *path, struct dirent ***out, int (*filter)(const struct dirent *),
                   int (*compare)(const struct dirent **, const struct dirent **))
{
    struct inode *folder = disk_lookup(path);
    int n = 0;
    if (folder == NULL)
        return -1;
    *out = disk_need(calloc(4096, sizeof **out));
    for (struct name *name = folder->names; name != NULL && n < 4096; name = name->next) {
        struct dirent *entry = disk_need(calloc(1, sizeof *entry));
        snprintf(entry->d_name, sizeof entry->d_name, "%s", name->text);
        if (filter == NULL || filter(entry))
            (*out)[n++] = entry;
        else
            free(entry);
    }
    qsort(*out, (size_t)n, sizeof **out, (int (*)(const void *, const void *))(void (*)(void))compare);
    return n;
}

/* A map of a file is a copy: what is mapped here is never written afterwards. */
void *__real_mmap(void *at, size_t len, int how, int flags, int fd, off_t from);
void *__wrap_mmap(void *at, size_t len, int how, int flags, int fd, off_t from);
void *__wrap_mmap(void *at, size_t len, int how, int flags, int fd, off_t from)
{
    struct fd *file = file_of(fd);
    if (file == NULL)
        return __real_mmap(at, len, how, flags, fd, from);
    void *memory = __real_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED && file->inode->seen.len > (size_t)from) {
        size_t left = file->inode->seen.len - (size_t)from;
        memcpy(memory, file->inode->seen.data + from, len < left ? len : left);
    }
    return memory;
}
