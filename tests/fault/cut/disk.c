#define _GNU_SOURCE /* memrchr */
#include "tests/fault/cut/disk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/sys/file.h"
#include "tests/fault/cut/names.h"

enum { INODES_LOG2 = 16 };

/* While a trace is read. */
struct loading {
    struct disk *disk;
    struct names names; /* as they are at that moment */
    bool died;          /* a program since the last one began */
    struct {
        uint64_t inode;
        size_t object;
    } inodes[1 << INODES_LOG2];
    struct why *why;
};

const struct trace_record *trace_next(struct span trace, uint64_t *at)
{
    const struct trace_header *header = (const struct trace_header *)(const void *)trace.data;
    uint64_t used = header->used;
    if (*at == 0)
        *at = sizeof *header;
    /* A process that died with its record half-written left a gap. */
    while (*at < used && *(const uint32_t *)(const void *)(trace.data + *at) == 0)
        *at += 8;
    if (*at >= used)
        return NULL;
    const struct trace_record *record = (const struct trace_record *)(const void *)(trace.data + *at);
    *at += record->bytes;
    return record;
}

static uint64_t begin_of(const struct disk *disk, const struct trace_record *record)
{
    return (uint64_t)((const uint8_t *)record - disk->trace.data);
}

static size_t inode_slot(const struct loading *loading, uint64_t inode)
{
    size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> (64 - INODES_LOG2));
    while (loading->inodes[at].inode != 0 && loading->inodes[at].inode != inode)
        at = (at + 1) & ((1 << INODES_LOG2) - 1);
    return at;
}

static void bind_inode(struct loading *loading, uint64_t inode, size_t object)
{
    size_t at = inode_slot(loading, inode);
    loading->inodes[at].inode = inode;
    loading->inodes[at].object = object;
}

static enum err object_of(const struct loading *loading, uint64_t inode, size_t *object, struct why *why)
{
    size_t at = inode_slot(loading, inode);
    *object = loading->inodes[at].object;
    return loading->inodes[at].inode == inode ? OK : fail(why, ERR_MALFORMED, "an inode that was never opened");
}

static enum err new_object(struct disk *disk, bool folder, char *base, struct why *why)
{
    return APPEND(disk->objects, disk->objects_n, (struct disk_object){ .folder = folder, .base = base });
}

/* Splits a path under the root into its folder's object and its name. The root itself: an empty name. */
static enum err resolve(const struct loading *loading, struct span path, size_t *folder, struct span *name, struct why *why)
{
    struct span rest = path;
    *folder = 0;
    *name = span_of(path.data, 0);
    if (!span_skip(&rest, loading->disk->root))
        return fail(why, ERR_MALFORMED, "%.*s is not under the root", SPAN_FMT(path));
    while (span_skip(&rest, "/")) {
        ptrdiff_t slash = span_find(rest, '/');
        *name = slash < 0 ? rest : span_cut(rest, 0, (size_t)slash);
        if (slash < 0)
            return OK;
        const struct name *known = names_find(&loading->names, *folder, *name);
        if (known == NULL)
            return fail(why, ERR_MALFORMED, "%.*s: its folder is not known", SPAN_FMT(path));
        *folder = known->child;
        rest = span_cut(rest, (size_t)slash, rest.len - (size_t)slash);
    }
    return OK;
}

static enum err add_op(struct disk *disk, struct disk_op op, struct why *why)
{
    struct disk_object *object = &disk->objects[op.object];
    enum err err = APPEND(object->ops, object->ops_n, disk->ops_n);
    return err != OK ? err : APPEND(disk->ops, disk->ops_n, op);
}

static enum err take_create(struct loading *loading, const struct trace_record *record, struct disk_op op, struct why *why)
{
    struct disk *disk = loading->disk;
    enum err err = resolve(loading, trace_text(record), &op.object, &op.name, why);
    if (err == OK)
        err = new_object(disk, record->kind == TRACE_MKDIR, NULL, why);
    if (err != OK)
        return err;
    op.kind = TRACE_CREATE;
    op.child = disk->objects_n - 1;
    bind_inode(loading, record->inode, op.child);
    err = names_put(&loading->names, op.object, op.name, op.child, why);
    return err != OK ? err : add_op(disk, op, why);
}

static enum err take_open(struct loading *loading, const struct trace_record *record, struct why *why)
{
    size_t folder, object = 0;
    struct span name;
    enum err err = resolve(loading, trace_text(record), &folder, &name, why);
    if (err == OK && name.len > 0) {
        const struct name *known = names_find(&loading->names, folder, name);
        if (known == NULL)
            return fail(why, ERR_MALFORMED, "%.*s was not there", SPAN_FMT(trace_text(record)));
        object = known->child;
    }
    if (err == OK)
        bind_inode(loading, record->inode, object);
    return err;
}

static enum err take_rename(struct loading *loading, const struct trace_record *record, struct disk_op op, struct why *why)
{
    struct span from = trace_text(record), to;
    ptrdiff_t nul = span_find(from, '\0');
    size_t folder;
    to = span_cut(from, (size_t)nul + 1, from.len - (size_t)nul - 1);
    from = span_cut(from, 0, (size_t)nul);
    enum err err = resolve(loading, from, &op.object, &op.name, why);
    if (err == OK)
        err = resolve(loading, to, &folder, &op.new_name, why);
    const struct name *known = err == OK ? names_find(&loading->names, op.object, op.name) : NULL;
    if (err != OK)
        return err;
    if (known == NULL)
        return fail(why, ERR_MALFORMED, "%.*s is renamed, and was not there", SPAN_FMT(from));
    op.child = known->child;
    names_drop(&loading->names, op.object, op.name);
    err = names_put(&loading->names, folder, op.new_name, op.child, why);
    if (err != OK || folder == op.object)
        return err != OK ? err : add_op(loading->disk, op, why);
    op.kind = TRACE_UNLINK;
    if ((err = add_op(loading->disk, op, why)) != OK)
        return err;
    op.kind = TRACE_CREATE;
    op.object = folder;
    op.name = op.new_name;
    return add_op(loading->disk, op, why);
}

static enum err take_unlink(struct loading *loading, const struct trace_record *record, struct disk_op op, struct why *why)
{
    enum err err = resolve(loading, trace_text(record), &op.object, &op.name, why);
    if (err != OK)
        return err;
    names_drop(&loading->names, op.object, op.name);
    return add_op(loading->disk, op, why);
}

/* "PATH" of an object as it is called now, below the root; a random end becomes a star. */
static void name_object(const struct loading *loading, size_t object, char *out, size_t len)
{
    char path[256] = "";
    while (object != 0) {
        size_t i = 0;
        while (i < loading->names.n && loading->names.items[i].child != object)
            i++;
        if (i == loading->names.n)
            break;
        struct span text = loading->names.items[i].text;
        struct buf longer = BUF_EMPTY;
        bool random = text.len > 7 && text.data[0] == '.' && text.data[text.len - 7] == '.';
        buf_byte(&longer, '/');
        buf_span(&longer, span_cut(text, 0, text.len - (random ? 6 : 0)));
        buf_str(&longer, random ? "*" : "");
        buf_str(&longer, path);
        if (longer.len < sizeof path) {
            memcpy(path, longer.data, longer.len);
            path[longer.len] = '\0';
        }
        buf_free(&longer);
        object = loading->names.items[i].folder;
    }
    snprintf(out, len, "%s", path[0] == '\0' ? "/" : path);
}

/* The innermost caller and its own: two calls of one helper in one function are two places. */
static bool same_place(const struct disk_site *a, const struct disk_site *b)
{
    if (!span_eq(a->program, b->program) || a->by_library != b->by_library)
        return false;
    size_t n = a->by_library ? 1 : 2;
    return (!a->by_library || strcmp(a->what, b->what) == 0) && a->frames_n >= n && b->frames_n >= n &&
           memcmp(a->frames, b->frames, n * sizeof *a->frames) == 0;
}

static enum err site_of(struct loading *loading, const struct trace_record *record, size_t object, int *site, struct why *why)
{
    struct disk *disk = loading->disk;
    struct disk_site own = { .frames = record->frames, .frames_n = record->frames_n, .count = 1 };
    char path[256];
    const struct trace_record *program =
        (const struct trace_record *)(const void *)(disk->trace.data + (size_t)record->program * 8);
    own.program = trace_text(program);
    const char *slash = memrchr(own.program.data, '/', own.program.len);
    name_object(loading, object, path, sizeof path);
    snprintf(own.what, sizeof own.what, "%.*s %s %s", (int)(own.program.len - (size_t)(slash + 1 - (const char *)own.program.data)),
             slash + 1, record->kind == TRACE_WRITE_SYNC ? "write-sync" : record->kind == TRACE_SYNC ? "sync" : "sync-all", path);
    own.place = (int)disk->sites_n;
    own.by_library = record->kind == TRACE_WRITE_SYNC || record->at != 0;
    for (size_t i = disk->sites_n; i-- > 0;) {
        struct disk_site *known = &disk->sites[i];
        if (same_place(known, &own))
            own.place = known->place;
        if (strcmp(known->what, own.what) == 0 && known->frames_n == own.frames_n &&
            memcmp(known->frames, own.frames, own.frames_n * sizeof *own.frames) == 0) {
            known->count++;
            *site = (int)i;
            return OK;
        }
    }
    *site = (int)disk->sites_n;
    return APPEND(disk->sites, disk->sites_n, own);
}

static enum err take_sync(struct loading *loading, const struct trace_record *record, struct why *why)
{
    struct disk *disk = loading->disk;
    struct disk_sync sync = { .begin = begin_of(disk, record), .end = record->end };
    enum err err = object_of(loading, record->inode, &sync.object, why);
    if (err == OK)
        err = site_of(loading, record, sync.object, &sync.site, why);
    if (err != OK || sync.end == 0 || record->result != 0)
        return err;
    size_t first = record->kind == TRACE_SYNC ? sync.object : 0, end = record->kind == TRACE_SYNC ? first + 1 : disk->objects_n;
    for (size_t i = first; i < end && err == OK; i++) {
        struct disk_object *object = &disk->objects[i];
        err = APPEND(object->syncs, object->syncs_n, sync);
    }
    return err != OK ? err : APPEND(disk->cuts, disk->cuts_n, (struct disk_cut){ sync.end - 1, sync.site });
}

static enum err take_write(struct loading *loading, const struct trace_record *record, struct disk_op op, struct why *why)
{
    struct disk *disk = loading->disk;
    enum err err = object_of(loading, record->inode, &op.object, why);
    op.at = record->at;
    op.bytes = trace_text(record);
    if (record->end != 0 && record->kind != TRACE_RESIZE)
        op.bytes = span_cut(op.bytes, 0, record->result < 0 ? 0 : (size_t)record->result);
    if (err == OK && record->kind == TRACE_WRITE_SYNC) {
        err = site_of(loading, record, op.object, &op.site, why);
        if (err == OK && op.end != 0)
            err = APPEND(disk->cuts, disk->cuts_n, (struct disk_cut){ op.end - 1, op.site });
    }
    return err != OK ? err : add_op(disk, op, why);
}

/* A program begins. What an earlier one did as it died is in the system's memory by now, and waits for a sync like anything. */
static enum err take_program(struct loading *loading, uint64_t begin, struct why *why)
{
    struct disk *disk = loading->disk;
    if (!loading->died)
        return OK;
    loading->died = false;
    for (size_t i = 0; i < disk->ops_n; i++)
        if (disk->ops[i].end == 0) {
            disk->ops[i].end = begin;
            disk->ops[i].kind = disk->ops[i].kind == TRACE_WRITE_SYNC ? TRACE_WRITE : disk->ops[i].kind;
        }
    return APPEND(disk->revivals, disk->revivals_n, begin);
}

static enum err take(struct loading *loading, const struct trace_record *record, struct why *why)
{
    struct disk_op op = {
        .kind = record->kind, .begin = begin_of(loading->disk, record), .end = record->end, .site = DISK_NO_SITE
    };
    bool failed = record->end != 0 && record->result < 0;
    loading->died = loading->died || (record->end == 0 && record->kind != TRACE_SEND);
    switch ((enum trace_kind)record->kind) {
    case TRACE_OPEN: return take_open(loading, record, why);
    case TRACE_CREATE:
    case TRACE_MKDIR: return take_create(loading, record, op, why);
    case TRACE_WRITE:
    case TRACE_WRITE_SYNC:
    case TRACE_RESIZE: return take_write(loading, record, op, why);
    case TRACE_SYNC:
    case TRACE_SYNC_ALL: return take_sync(loading, record, why);
    case TRACE_RENAME: return failed ? OK : take_rename(loading, record, op, why);
    case TRACE_UNLINK: return failed ? OK : take_unlink(loading, record, op, why);
    case TRACE_PROGRAM: return take_program(loading, op.begin, why);
    case TRACE_SEND:
    case TRACE_SAY: return OK;
    }
    return fail(why, ERR_MALFORMED, "a record of unknown kind");
}

/* The names and files of the copy from which the trace began, as children of `folder`. */
static enum err take_base(struct loading *loading, const char *path, size_t folder, struct why *why)
{
    struct disk *disk = loading->disk;
    DIR *dir = opendir(path);
    struct dirent *one;
    enum err err = dir == NULL ? fail(why, ERR_ENV, "cannot open %s: %s", path, strerror(errno)) : OK;
    while (err == OK && (one = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
            continue;
        char *child = path_join(path, one->d_name), *name = span_dup_str(span_str(one->d_name));
        if (child == NULL || name == NULL || stat(child, &st) != 0)
            return fail(why, ERR_ENV, "cannot take %s/%s", path, one->d_name);
        size_t object = disk->objects_n;
        err = new_object(disk, S_ISDIR(st.st_mode), child, why);
        if (err == OK)
            err = add_op(disk,
                         (struct disk_op){ .kind = TRACE_CREATE,
                                           .end = 1,
                                           .object = folder,
                                           .site = DISK_NO_SITE,
                                           .name = span_str(name),
                                           .child = object },
                         why);
        if (err == OK)
            err = names_put(&loading->names, folder, span_str(name), object, why);
        if (err == OK && S_ISDIR(st.st_mode))
            err = take_base(loading, child, object, why);
    }
    if (dir != NULL)
        closedir(dir);
    return err;
}

static int by_position(const void *a, const void *b)
{
    const struct disk_cut *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

enum err disk_load(struct disk *disk, struct span trace, const char *root, const char *base, struct why *why)
{
    const struct trace_header *header = (const struct trace_header *)(const void *)trace.data;
    *disk = (struct disk){ .trace = trace, .root = span_dup_str(span_str(root)) };
    if (trace.len < sizeof *header || header->magic != TRACE_MAGIC || header->full != 0)
        return fail(why, ERR_MALFORMED, "no whole trace");
    struct loading *loading = calloc(1, sizeof *loading);
    if (loading == NULL || disk->root == NULL)
        return fail(why, ERR_ENV, "out of memory");
    loading->disk = disk;
    enum err err = new_object(disk, true, NULL, why);
    if (err == OK && base != NULL)
        err = take_base(loading, base, 0, why);
    uint64_t at = 0;
    const struct trace_record *record;
    while (err == OK && (record = trace_next(trace, &at)) != NULL)
        if ((err = take(loading, record, why)) != OK)
            fail_in(why, err, "the record at %llu", (unsigned long long)begin_of(disk, record));
    if (err == OK)
        err = APPEND(disk->cuts, disk->cuts_n, (struct disk_cut){ header->used + 1, DISK_NO_SITE });
    if (err == OK)
        qsort(disk->cuts, disk->cuts_n, sizeof *disk->cuts, by_position);
    free(loading->names.items);
    free(loading);
    return err;
}
