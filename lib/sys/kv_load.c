/*
 * Large values, read whole. A map gives what is in memory for nothing, but what is not costs a fault and a place in the page cache
 * for each page, where a disk wants few long requests.
 */
#define _GNU_SOURCE /* O_DIRECT, mincore */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/lmdbfile.h"
#include "lib/sys/file.h"
#include "lib/sys/kv_internal.h"

enum {
    PAGE_HEAD_BYTES = LMDBFILE_PAGE_HEAD_BYTES, /* before a large value in its first page */
    ROOM_STEP = 1 << 20, /* and the alignment of what is read into: a multiple of every page size and block size */
    ALIGNMENT = 1 << 16,
    RESIDENT_PAGES = 1024, /* asked about at once */
};

void kv_fetch(struct span value)
{
    static const uintptr_t page_bytes = 4096;
    uintptr_t from = (uintptr_t)value.data & ~(page_bytes - 1);
    madvise((void *)from, (uintptr_t)value.data + value.len - from, MADV_WILLNEED);
}

void kv_direct_open(struct kv *kv)
{
    char *data = path_join(kv->path, "data.mdb");
    if (data != NULL)
        kv->direct = open(data, O_RDONLY | O_CLOEXEC | O_DIRECT);
    free(data);
}

void kv_room_free(struct kv_room *room)
{
    free(room->at);
    *room = (struct kv_room){ NULL, 0 };
}

static enum err make_room(struct kv_room *room, size_t bytes, struct why *why)
{
    if (room->bytes >= bytes)
        return OK;
    kv_room_free(room);
    bytes = (bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    if (posix_memalign(&room->at, ALIGNMENT, bytes) != 0) {
        room->at = NULL;
        return fail(why, ERR_ENV, "out of memory");
    }
    room->bytes = bytes;
    return OK;
}

/* Are all these pages of a map in memory? */
static bool in_memory(const uint8_t *from, size_t bytes, size_t page_bytes)
{
    unsigned char resident[RESIDENT_PAGES];
    for (size_t done = 0; done < bytes;) {
        size_t n = (bytes - done) / page_bytes < RESIDENT_PAGES ? (bytes - done) / page_bytes : RESIDENT_PAGES;
        union {
            const uint8_t *in;
            void *out;
        } at = { from + done };
        if (mincore(at.out, n * page_bytes, resident) != 0)
            return true;
        for (size_t i = 0; i < n; i++)
            if ((resident[i] & 1) == 0)
                return false;
        done += n * page_bytes;
    }
    return true;
}

/* Where the map starts: LMDB does not tell, but each page says which one it is, and kv_check has seen that those of the table of tables
 * are right. */
static int map_start(struct kv_txn *txn, size_t page_bytes, const uint8_t **start)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t number;
    int code = mdb_cursor_open(txn->txn, txn->kv->main, &cursor);
    if (code != 0)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    mdb_cursor_close(cursor);
    if (code != 0)
        return code;
    const uint8_t *page = (const uint8_t *)value.mv_data - (uintptr_t)value.mv_data % page_bytes;
    memcpy(&number, page, sizeof number);
    *start = page - number * page_bytes;
    return 0;
}

/* `bytes` of the file from `offset` on, both whole pages, into `room`; *read is false where the disk's blocks are larger than that. */
static enum err read_pages(struct kv *kv, uint64_t offset, size_t bytes, struct kv_room *room, bool *read, struct why *why)
{
    enum err err = make_room(room, bytes, why);
    *read = true;
    for (size_t done = 0; done < bytes && err == OK && *read;) {
        ssize_t n = pread(kv->direct, (uint8_t *)room->at + done, bytes - done, (off_t)(offset + done));
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EINVAL)
            *read = false;
        else if (n == 0 || errno != EINTR)
            err = fail(why, ERR_ENV, "cannot read %s/data.mdb at %llu: %s", kv->path, (unsigned long long)(offset + done),
                       n == 0 ? "it ends there" : strerror(errno));
    }
    return err;
}

enum err kv_load(struct kv_txn *txn, struct span *value, struct kv_room *room, struct why *why)
{
    struct kv *kv = txn->kv;
    MDB_stat stat;
    const uint8_t *start;
    int code = mdb_env_stat(kv->env, &stat);
    size_t page_bytes = code == 0 ? stat.ms_psize : 1;
    if (code == 0 && (uintptr_t)value->data % page_bytes != PAGE_HEAD_BYTES)
        return OK; /* a small one, in a page that has just been looked at */
    if (code == 0)
        code = map_start(txn, page_bytes, &start);
    if (code != 0)
        return kv_fail(kv, "find a value", code, why);
    const uint8_t *head = value->data - PAGE_HEAD_BYTES;
    uint64_t page = (uint64_t)(head - start) / page_bytes;
    size_t bytes = lmdbfile_value_pages(value->len, page_bytes) * page_bytes;
    bool read = false;
    if (kv->direct >= 0 && !in_memory(head, bytes, page_bytes)) {
        enum err err = read_pages(kv, page * page_bytes, bytes, room, &read, why);
        if (err != OK)
            return err;
    }
    if (read) {
        head = room->at;
        *value = span_of(head + PAGE_HEAD_BYTES, value->len);
    } else {
        kv_fetch(*value);
    }
    enum err err = lmdbfile_check_value(head, page, value->len, page_bytes, why);
    return err == OK ? OK : fail_in(why, err, "%s/data.mdb is damaged", kv->path);
}
