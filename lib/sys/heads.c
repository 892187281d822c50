#include "lib/sys/heads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/headsfile.h"
#include "lib/sys/file.h"

enum { COMPACT_RECORDS_MIN = 1024 };

struct heads {
    int fd;
    char *path;
    off_t end;       /* where the next record goes */
    uint64_t number; /* of the last record */
    uint64_t batch;  /* number of the first record of the last batch */
    bool dead;
    struct head_record *records; /* newest of each origin */
    size_t n, cap;
    uint64_t newest_s;
    bool marked;   /* whoever has no record is suspended */
    size_t *slots; /* open addressing: a record's place plus one */
    size_t slots_n;
};

enum err heads_create(const char *path, struct why *why)
{
    struct buf header = BUF_EMPTY;
    headsfile_header(&header);
    enum err err = buf_done(&header, why);
    if (err == OK)
        err = file_create(path, 0600, span_buf(&header), why);
    buf_free(&header);
    return err;
}

static size_t *slot_of(const struct heads *heads, const struct hash *origin_hash)
{
    size_t at = (size_t)(get_be64(origin_hash->b) % heads->slots_n);
    while (heads->slots[at] != 0 && !hash_eq(&heads->records[heads->slots[at] - 1].origin_hash, origin_hash))
        at = (at + 1) % heads->slots_n;
    return &heads->slots[at];
}

static enum err grow(struct heads *heads, struct why *why)
{
    size_t cap = heads->cap == 0 ? 64 : 2 * heads->cap;
    struct head_record *records = realloc(heads->records, cap * sizeof *records);
    if (records == NULL)
        return fail(why, ERR_ENV, "out of memory");
    heads->records = records;
    size_t *slots = calloc(2 * cap, sizeof *slots);
    if (slots == NULL)
        return fail(why, ERR_ENV, "out of memory");
    free(heads->slots);
    heads->slots = slots;
    heads->slots_n = 2 * cap;
    heads->cap = cap; /* now: without slots there is no room either */
    for (size_t i = 0; i < heads->n; i++)
        *slot_of(heads, &records[i].origin_hash) = i + 1;
    return OK;
}

static enum err put(struct heads *heads, const struct head_record *record, struct why *why)
{
    if (heads->n == heads->cap) {
        enum err err = grow(heads, why);
        if (err != OK)
            return err;
    }
    size_t *slot = slot_of(heads, &record->origin_hash);
    if (*slot == 0)
        *slot = ++heads->n;
    heads->records[*slot - 1] = *record;
    if (record->time_s > heads->newest_s)
        heads->newest_s = record->time_s;
    return OK;
}

static void suspend_all(struct heads *heads)
{
    heads->marked = true;
    for (size_t i = 0; i < heads->n; i++)
        heads->records[i].suspended = true;
}

static enum err take_record(void *ctx, const struct headsfile_record *record, struct why *why)
{
    struct heads *heads = ctx;
    struct head_record one = { .origin_hash = record->origin_hash, .head = record->head, .time_s = record->time_s };
    heads->number = record->number;
    heads->batch = record->batch;
    if (headsfile_is_mark(record)) {
        if (record->head.size == HEADSFILE_MARK_OTHERS)
            heads->marked = false;
        else
            suspend_all(heads);
        return OK;
    }
    const struct head_record *last = heads_find(heads, &one.origin_hash);
    if (last != NULL &&
        (last->head.size > one.head.size || (last->head.size == one.head.size && !hash_eq(&last->head.root, &one.head.root))))
        return fail(why, ERR_MALFORMED, "record %llu goes back behind, or contradicts, an earlier one",
                    (unsigned long long)record->number);
    return put(heads, &one, why);
}

/* Those that are suspended, or those that are not. */
static void put_records(struct buf *out, const struct heads *heads, bool suspended, uint64_t *number)
{
    for (size_t i = 0; i < heads->n; i++) {
        const struct head_record *from = &heads->records[i];
        struct headsfile_record record = { from->origin_hash, from->head, from->time_s, *number + 1, *number + 1 };
        if (from->suspended != suspended)
            continue;
        headsfile_record(out, &record);
        ++*number;
    }
}

/* All origins' newest heads in a new file, in place of the old one. A rename does not tear, so each record is a batch of its
 * own: one that is damaged later is not taken for a torn write, and the others with it. */
static enum err compact(struct heads *heads, struct why *why)
{
    struct buf file = BUF_EMPTY;
    uint64_t number = 0;
    headsfile_header(&file);
    put_records(&file, heads, true, &number);
    if (number > 0 || heads->marked) {
        number++;
        headsfile_record(&file, &(struct headsfile_record){ .number = number, .batch = number });
    }
    if (number > 0 && !heads->marked) {
        number++;
        headsfile_record(&file, &(struct headsfile_record){
                                    .head = { .size = HEADSFILE_MARK_OTHERS }, .number = number, .batch = number });
    }
    put_records(&file, heads, false, &number);
    enum err err = buf_done(&file, why);
    if (err == OK)
        err = file_replace(heads->path, 0600, span_buf(&file), why);
    if (err == OK) {
        heads->number = heads->batch = number;
        heads->end = (off_t)file.len;
    }
    buf_free(&file);
    return err;
}

static int open_file(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Reads all records. Mapped: a server that ran for months under load has gigabytes of them, of few origins. */
static enum err load(struct heads *heads, struct why *why)
{
    struct stat st;
    size_t valid_len = 0;
    if ((heads->fd = open_file(heads->path)) < 0 || fstat(heads->fd, &st) != 0)
        return fail(why, ERR_ENV, "cannot open %s: %s", heads->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(why, ERR_ENV, "%s is not a regular file", heads->path);
    if (st.st_size == 0)
        return fail(why, ERR_MALFORMED, "%s is empty: put back the file that belongs to this key (spec/files.md)", heads->path);
    size_t len = (size_t)st.st_size;
    void *at = mmap(NULL, len, PROT_READ, MAP_PRIVATE, heads->fd, 0);
    if (at == MAP_FAILED)
        return fail(why, ERR_ENV, "cannot read %s: %s", heads->path, strerror(errno));
    enum err err = headsfile_parse(span_of(at, len), take_record, heads, &valid_len, why);
    munmap(at, len);
    heads->end = (off_t)valid_len;
    heads->newest_s = 0; /* of the records that count: set-clock takes times back */
    for (size_t i = 0; i < heads->n; i++)
        if (heads->records[i].time_s > heads->newest_s)
            heads->newest_s = heads->records[i].time_s;
    return err == OK ? OK : fail_in(why, err, "%s", heads->path);
}

static enum err write_at(int fd, struct span bytes, off_t at)
{
    while (bytes.len > 0) {
        ssize_t put_bytes = pwrite(fd, bytes.data, bytes.len, at);
        if (put_bytes < 0 && errno == EINTR)
            continue;
        if (put_bytes <= 0)
            return ERR_ENV;
        bytes = span_cut(bytes, (size_t)put_bytes, bytes.len - (size_t)put_bytes);
        at += put_bytes;
    }
    return OK;
}

/*
 * Makes what was read durable. A torn last batch is cut off, so that no part of it ever stands behind a later one. The last whole
 * one is written again: where its sync failed, the system may show it from memory, count it as written, and lose it.
 */
static enum err settle(struct heads *heads, struct why *why)
{
    struct buf last = BUF_EMPTY;
    off_t from = (off_t)heads->batch * HEADSFILE_RECORD_BYTES;
    size_t len = (size_t)(heads->end - from);
    uint8_t *at = heads->batch == 0 ? NULL : buf_grow(&last, len);
    enum err err = buf_done(&last, why);
    if (err == OK && at != NULL &&
        (pread(heads->fd, at, len, from) != (ssize_t)len || write_at(heads->fd, span_of(at, len), from) != OK))
        err = fail(why, ERR_ENV, "cannot write the last batch of %s again: %s", heads->path, strerror(errno));
    if (err == OK && (ftruncate(heads->fd, heads->end) != 0 || fsync(heads->fd) != 0))
        err = fail(why, ERR_ENV, "cannot truncate %s: %s", heads->path, strerror(errno));
    buf_free(&last);
    return err;
}

enum err heads_open(struct heads **out, const char *path, struct why *why)
{
    struct heads *heads = calloc(1, sizeof *heads);
    if (heads == NULL)
        return fail(why, ERR_ENV, "out of memory");
    heads->fd = -1;
    heads->path = span_dup_str(span_str(path));
    enum err err = heads->path == NULL ? fail(why, ERR_ENV, "out of memory") : grow(heads, why);
    if (err == OK)
        err = load(heads, why);
    if (err == OK && heads->number >= COMPACT_RECORDS_MIN && heads->number / 2 > heads->n) {
        err = compact(heads, why);
        close(heads->fd);
        if ((heads->fd = open_file(path)) < 0 && err == OK)
            err = fail(why, ERR_ENV, "cannot open %s: %s", path, strerror(errno));
    }
    if (err == OK)
        err = settle(heads, why);
    if (err != OK) {
        heads_close(heads);
        return err;
    }
    *out = heads;
    return OK;
}

void heads_close(struct heads *heads)
{
    if (heads == NULL)
        return;
    if (heads->fd >= 0)
        close(heads->fd);
    free(heads->path);
    free(heads->records);
    free(heads->slots);
    free(heads);
}

const struct head_record *heads_find(const struct heads *heads, const struct hash *origin_hash)
{
    size_t slot = *slot_of(heads, origin_hash);
    return slot == 0 ? NULL : &heads->records[slot - 1];
}

size_t heads_count(const struct heads *heads)
{
    return heads->n;
}

const struct head_record *heads_at(const struct heads *heads, size_t i)
{
    return &heads->records[i];
}

bool heads_suspended(const struct heads *heads, const struct hash *origin_hash)
{
    const struct head_record *record = heads_find(heads, origin_hash);
    return record != NULL ? record->suspended : heads->marked;
}

uint64_t heads_newest_s(const struct heads *heads)
{
    return heads->newest_s;
}

/* Writes records, numbered as one batch, with one sync. Dead from its start, and for the caller to end that: whatever fails, what
 * the file holds then is known only after a restart. */
static enum err append(struct heads *heads, const struct head_record *records, size_t n, struct why *why)
{
    struct buf bytes = BUF_EMPTY;
    if (heads->dead)
        return fail(why, ERR_ENV, "%s failed before: nothing is signed until a restart has checked it", heads->path);
    for (size_t i = 0; i < n; i++) {
        struct headsfile_record record = { records[i].origin_hash, records[i].head, records[i].time_s, heads->number + 1 + i,
                                           heads->number + 1 };
        headsfile_record(&bytes, &record);
    }
    heads->dead = true;
    enum err err = buf_done(&bytes, why);
    if (err == OK && (write_at(heads->fd, span_buf(&bytes), heads->end) != OK || fdatasync(heads->fd) != 0))
        err = fail(why, ERR_ENV, "cannot write %s: %s", heads->path, strerror(errno));
    if (err == OK) {
        heads->number += n;
        heads->end += (off_t)bytes.len;
    }
    buf_free(&bytes);
    return err;
}

enum err heads_take(struct heads **out, const char *dir, struct why *why)
{
    char *path = path_join(dir, "heads");
    *out = NULL;
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : dir_lock(dir, LOCK_PATIENCE_MS, why);
    if (err == OK)
        err = heads_open(out, path, why);
    free(path);
    return err;
}

/* Not mapped, as load does: whoever opens the file meanwhile may cut a torn end off, and a map would have us killed for it. */
enum err heads_look(struct heads **out, const char *dir, struct why *why)
{
    struct buf file = BUF_EMPTY;
    size_t valid_len;
    struct heads *heads = calloc(1, sizeof *heads);
    if (heads == NULL)
        return fail(why, ERR_ENV, "out of memory");
    heads->fd = -1;
    heads->dead = true;
    heads->path = path_join(dir, "heads");
    enum err err = heads->path == NULL ? fail(why, ERR_ENV, "out of memory") : grow(heads, why);
    if (err == OK)
        err = file_read(heads->path, SIZE_MAX, &file, why);
    if (err == OK && (err = headsfile_parse(span_buf(&file), take_record, heads, &valid_len, why)) != OK)
        fail_in(why, err, "%s", heads->path);
    buf_free(&file);
    if (err != OK) {
        heads_close(heads);
        return err;
    }
    *out = heads;
    return OK;
}

enum err heads_add(struct heads *heads, const struct head_record *records, size_t n, struct why *why)
{
    enum err err = append(heads, records, n, why);
    for (size_t i = 0; i < n && err == OK; i++)
        err = put(heads, &records[i], why);
    if (err == OK)
        heads->dead = false;
    return err;
}

enum err heads_suspend(struct heads *heads, struct why *why)
{
    const struct head_record mark = { .head = { .size = HEADSFILE_MARK_ALL } };
    enum err err = append(heads, &mark, 1, why);
    if (err == OK) {
        suspend_all(heads);
        heads->dead = false;
    }
    return err;
}

enum err heads_resume_others(struct heads *heads, struct why *why)
{
    const struct head_record mark = { .head = { .size = HEADSFILE_MARK_OTHERS } };
    enum err err = append(heads, &mark, 1, why);
    if (err == OK)
        heads->marked = heads->dead = false;
    return err;
}
