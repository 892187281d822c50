/* When what was done lasts, and what a disk holds then. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/sys/file.h"
#include "tests/fault/cut/disk.h"
#include "tests/fault/cut/names.h"

enum { FILE_BYTES_MAX = 1 << 30 };

/* When `op` has come to last, by a sync of its file or folder, or by itself. */
static uint64_t lasts_since(const struct disk *disk, const struct disk_op *op, const bool *without)
{
    const struct disk_object *object = &disk->objects[op->object];
    uint64_t since = UINT64_MAX;
    if (op->begin == 0)
        return 0; /* of the base */
    if (op->end == 0)
        return since;
    if (op->kind == TRACE_WRITE_SYNC && (without == NULL || !without[op->site]))
        since = op->end;
    size_t low = 0, high = object->syncs_n; /* the first sync that began after it */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (object->syncs[middle].begin < op->end)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < object->syncs_n && object->syncs[i].begin < since; i++)
        if ((without == NULL || !without[object->syncs[i].site]) && object->syncs[i].end < since)
            since = object->syncs[i].end;
    return since;
}

void disk_lasting(const struct disk *disk, const bool *without, uint64_t *since)
{
    for (size_t i = 0; i < disk->ops_n; i++)
        since[i] = lasts_since(disk, &disk->ops[i], without);
}

/* Makes `content` at least so long, with zeros. */
static enum err extend(struct buf *content, size_t len, struct why *why)
{
    if (len <= content->len)
        return OK;
    size_t more = len - content->len;
    uint8_t *at = buf_grow(content, more);
    if (at == NULL)
        return fail(why, ERR_ENV, "out of memory");
    memset(at, 0, more);
    return OK;
}

static enum err apply(struct buf *content, const struct disk_op *op, enum disk_share share, uint64_t seed, struct why *why)
{
    size_t step = share == DISK_TORN_PAGES ? 4096 : DISK_SECTOR_BYTES, len;
    enum err err = OK;
    if (op->kind == TRACE_RESIZE) {
        if (content->len > op->at)
            content->len = op->at;
        return extend(content, op->at, why);
    }
    for (size_t done = 0; done < op->bytes.len && err == OK; done += len) {
        size_t at = op->at + done;
        len = step - at % step;
        if (share == DISK_WHOLE || len > op->bytes.len - done)
            len = op->bytes.len - done;
        if (share != DISK_WHOLE && (disk_mix(seed ^ disk_mix(op->begin + at / step)) & 1) == 0)
            continue;
        err = extend(content, at + len, why);
        if (err == OK)
            memcpy(content->data + at, op->bytes.data + done, len);
    }
    return err;
}

static enum err write_file(const struct disk *disk, size_t object, const uint8_t *shares, uint64_t seed, const char *to,
                           struct why *why)
{
    const struct disk_object *own = &disk->objects[object];
    struct buf content = BUF_EMPTY;
    enum err err = own->base == NULL ? OK : file_read(own->base, FILE_BYTES_MAX, &content, why);
    for (size_t i = 0; i < own->ops_n && err == OK; i++)
        if (shares[own->ops[i]] != DISK_NOTHING)
            err = apply(&content, &disk->ops[own->ops[i]], shares[own->ops[i]], seed, why);
    FILE *file = err == OK ? fopen(to, "wb") : NULL;
    if (err == OK && (file == NULL || fwrite(content.data, 1, content.len, file) != content.len))
        err = fail(why, ERR_ENV, "cannot write %s: %s", to, strerror(errno));
    if (file != NULL)
        fclose(file);
    chmod(to, 0600); /* a key that others can read is refused, and modes are not traced */
    buf_free(&content);
    return err;
}

static enum err write_object(const struct disk *disk, size_t object, const uint8_t *shares, uint64_t seed, const char *to,
                             struct why *why);

static enum err names_of(const struct disk *disk, size_t object, const uint8_t *shares, struct names *names, struct why *why)
{
    const struct disk_object *own = &disk->objects[object];
    enum err err = OK;
    for (size_t i = 0; i < own->ops_n && err == OK; i++) {
        const struct disk_op *op = &disk->ops[own->ops[i]];
        if (shares[own->ops[i]] == DISK_NOTHING)
            continue;
        if (op->kind != TRACE_CREATE)
            names_drop(names, object, op->name);
        if (op->kind != TRACE_UNLINK)
            err = names_put(names, object, op->kind == TRACE_RENAME ? op->new_name : op->name, op->child, why);
    }
    return err;
}

static enum err write_folder(const struct disk *disk, size_t object, const uint8_t *shares, uint64_t seed, const char *to,
                             struct why *why)
{
    struct names names = { 0 };
    enum err err = names_of(disk, object, shares, &names, why);
    if (err == OK && mkdir(to, 0700) != 0)
        err = fail(why, ERR_ENV, "cannot make %s: %s", to, strerror(errno));
    for (size_t i = 0; i < names.n && err == OK; i++) {
        struct buf path = BUF_EMPTY;
        buf_fmt(&path, "%s/%.*s", to, SPAN_FMT(names.items[i].text));
        buf_byte(&path, '\0');
        err = buf_done(&path, why);
        if (err == OK)
            err = write_object(disk, names.items[i].child, shares, seed, (const char *)path.data, why);
        buf_free(&path);
    }
    free(names.items);
    return err;
}

static enum err write_object(const struct disk *disk, size_t object, const uint8_t *shares, uint64_t seed, const char *to,
                             struct why *why)
{
    return disk->objects[object].folder ? write_folder(disk, object, shares, seed, to, why)
                                        : write_file(disk, object, shares, seed, to, why);
}

enum err disk_write(const struct disk *disk, const uint8_t *shares, uint64_t seed, const char *to, struct why *why)
{
    return write_object(disk, 0, shares, seed, to, why);
}
