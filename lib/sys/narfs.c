#define _GNU_SOURCE /* scandirat */
#include "lib/sys/narfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/nar.h"

enum { CHUNK_BYTES = 1 << 18 };

struct dump {
    const struct nar_sink *sink;
    const char *path; /* the store path, for errors */
    struct buf out;   /* framing and contents, handed on when it is full */
    unsigned depth;
    struct why *why;
};

static enum err dump_node(struct dump *dump, int dir, const char *name);

static enum err fail_at(const struct dump *dump, const char *what, const char *name)
{
    return fail(dump->why, ERR_ENV, "cannot %s %s in %s: %s", what, name, dump->path, strerror(errno));
}

static enum err flush(struct dump *dump)
{
    enum err err = buf_done(&dump->out, dump->why);
    if (err == OK && dump->out.len > 0)
        err = dump->sink->take(dump->sink->ctx, span_buf(&dump->out), dump->why);
    buf_clear(&dump->out);
    return err;
}

static enum err flush_full(struct dump *dump)
{
    return dump->out.len < CHUNK_BYTES ? buf_done(&dump->out, dump->why) : flush(dump);
}

static enum err dump_contents(struct dump *dump, int fd, const char *name, uint64_t size)
{
    uint64_t left = size;
    enum err err = OK;
    while (err == OK) {
        uint8_t *at = buf_grow(&dump->out, CHUNK_BYTES);
        if (at == NULL)
            return buf_done(&dump->out, dump->why);
        ssize_t got = read(fd, at, CHUNK_BYTES);
        dump->out.len -= got > 0 ? CHUNK_BYTES - (size_t)got : CHUNK_BYTES;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_at(dump, "read", name);
        if (got == 0)
            break;
        if ((uint64_t)got > left)
            return fail(dump->why, ERR_ENV, "%s in %s grew while it was read", name, dump->path);
        left -= (uint64_t)got;
        err = flush_full(dump);
    }
    if (err == OK && left > 0)
        err = fail(dump->why, ERR_ENV, "%s in %s shrank while it was read", name, dump->path);
    return err;
}

static enum err dump_file(struct dump *dump, int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_at(dump, "open", name);
    enum err err = OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err = fail(dump->why, ERR_ENV, "%s in %s changed while it was read", name, dump->path);
    } else {
        uint64_t size = (uint64_t)st.st_size;
        nar_put_contents_start(&dump->out, (st.st_mode & S_IXUSR) != 0, size);
        err = dump_contents(dump, fd, name, size);
        nar_put_contents_end(&dump->out, size);
    }
    close(fd);
    return err;
}

static enum err dump_symlink(struct dump *dump, int dir, const char *name)
{
    char target[NAR_TARGET_BYTES_MAX + 1];
    ssize_t len = readlinkat(dir, name, target, sizeof target);
    if (len < 0)
        return fail_at(dump, "read the link", name);
    if ((size_t)len == sizeof target)
        return fail(dump->why, ERR_ENV, "the link %s in %s is too long", name, dump->path);
    nar_put_symlink(&dump->out, span_of(target, (size_t)len));
    return OK;
}

static int not_itself(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum err dump_folder(struct dump *dump, int dir, const char *name)
{
    struct dirent **entries;
    if (++dump->depth > NAR_DEPTH_MAX)
        return fail(dump->why, ERR_ENV, "folders in %s are nested more than %d deep", dump->path, NAR_DEPTH_MAX);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_at(dump, "open", name);
    int n = scandirat(fd, ".", &entries, not_itself, by_bytes);
    enum err err = n < 0 ? fail_at(dump, "list", name) : OK;
    nar_put_directory_start(&dump->out);
    for (int i = 0; i < n; i++) {
        if (err == OK) {
            nar_put_entry_start(&dump->out, span_str(entries[i]->d_name));
            err = dump_node(dump, fd, entries[i]->d_name);
            nar_put_entry_end(&dump->out);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    nar_put_directory_end(&dump->out);
    close(fd);
    dump->depth--;
    return err;
}

/* Recursion is bounded by NAR_DEPTH_MAX, and by the descriptors that a process may have open. */
static enum err dump_node(struct dump *dump, int dir, const char *name)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_at(dump, "find", name);
    enum err err = flush_full(dump);
    if (err != OK)
        return err;
    if (S_ISREG(st.st_mode))
        return dump_file(dump, dir, name);
    if (S_ISLNK(st.st_mode))
        return dump_symlink(dump, dir, name);
    if (S_ISDIR(st.st_mode))
        return dump_folder(dump, dir, name);
    return fail(dump->why, ERR_ENV, "%s in %s is neither a file, a folder nor a symlink", name, dump->path);
}

enum err nar_dump(const char *path, const struct nar_sink *sink, struct why *why)
{
    struct dump dump = { .sink = sink, .path = path, .why = why };
    nar_put_start(&dump.out);
    enum err err = dump_node(&dump, AT_FDCWD, path);
    if (err == OK)
        err = flush(&dump);
    buf_free(&dump.out);
    return err;
}

struct hashing {
    struct sha256 state;
    uint64_t size;
};

static enum err take_bytes(void *ctx, struct span bytes, struct why *why)
{
    struct hashing *hashing = ctx;
    (void)why;
    sha256_add(&hashing->state, bytes.data, bytes.len);
    hashing->size += bytes.len;
    return OK;
}

enum err nar_hash_path(const char *path, struct hash *hash, uint64_t *nar_size, struct why *why)
{
    struct hashing hashing = { .size = 0 };
    struct nar_sink sink = { take_bytes, &hashing };
    sha256_start(&hashing.state);
    enum err err = nar_dump(path, &sink, why);
    if (err == OK) {
        *hash = sha256_end(&hashing.state);
        *nar_size = hashing.size;
    }
    return err;
}
