/* A file system in memory that forgets like a real one: what a process sees is the cache; what a power cut leaves is what was
 * synced, and of the rest whatever chance leaves. The rules are those of tests/fault/cut/disk.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/sim/disk.h"

struct inode disk_root = { .folder = true, .mode = 0755 };
struct fd disk_fds[FDS_MAX];
static unsigned inodes_n;
uint64_t disk_free_bytes = UINT64_C(1) << 40;
struct sim_faults sim_faults;

void *disk_need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

char *disk_copy(const char *text, size_t len)
{
    char *out = disk_need(malloc(len + 1));
    memcpy(out, text, len);
    out[len] = '\0';
    return out;
}

struct inode **disk_find(struct inode *folder, bool kept, const char *text)
{
    for (struct name *name = kept ? folder->kept : folder->names; name != NULL; name = name->next)
        if (strcmp(name->text, text) == 0)
            return &name->inode;
    return NULL;
}

void disk_name(struct inode *folder, bool kept, const char *text, struct inode *inode)
{
    struct inode **there = disk_find(folder, kept, text);
    if (there != NULL) {
        *there = inode;
        return;
    }
    struct name *name = disk_need(calloc(1, sizeof *name));
    struct name **list = kept ? &folder->kept : &folder->names;
    *name = (struct name){ disk_copy(text, strlen(text)), inode, *list };
    *list = name;
}

void disk_unname(struct inode *folder, bool kept, const char *text)
{
    for (struct name **at = kept ? &folder->kept : &folder->names; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->text, text) == 0) {
            *at = (*at)->next;
            return;
        }
}

void disk_set(struct buf *file, uint64_t at, struct span bytes)
{
    if (file->len < at + bytes.len) {
        size_t more = (size_t)(at + bytes.len - file->len);
        memset(disk_need(buf_grow(file, more)), 0, more);
    }
    memcpy(file->data + at, bytes.data, bytes.len);
}

void disk_resize(struct buf *file, uint64_t size)
{
    if (file->len > size)
        file->len = (size_t)size;
    else
        disk_set(file, size, span_of(NULL, 0));
}

struct change *disk_change(struct inode *inode, int kind)
{
    struct change *change = disk_need(calloc(1, sizeof *change)), **end = &inode->changes;
    change->kind = kind;
    while (*end != NULL)
        end = &(*end)->next;
    *end = change;
    return change;
}

/* Splits a path into its folder and last name; NULL with errno. */
struct inode *disk_parent(const char *path, char name[256])
{
    struct inode *folder = &disk_root;
    name[0] = '\0';
    for (;;) {
        while (*path == '/')
            path++;
        size_t len = strcspn(path, "/");
        if (len >= 256) {
            errno = ENAMETOOLONG;
            return NULL;
        }
        if (name[0] != '\0' && len > 0) {
            struct inode **next = disk_find(folder, false, name);
            if (next == NULL || !(*next)->folder) {
                errno = next == NULL ? ENOENT : ENOTDIR;
                return NULL;
            }
            folder = *next;
        }
        if (len == 0)
            return folder;
        memcpy(name, path, len);
        name[len] = '\0';
        path += len;
    }
}

struct inode *disk_lookup(const char *path)
{
    char name[256];
    struct inode *folder = disk_parent(path, name), **inode;
    if (folder == NULL)
        return NULL;
    if (name[0] == '\0')
        return folder;
    if ((inode = disk_find(folder, false, name)) == NULL)
        errno = ENOENT;
    return inode == NULL ? NULL : *inode;
}

struct inode *disk_make(struct inode *folder, const char *name, bool is_folder, mode_t mode)
{
    struct inode *inode = disk_need(calloc(1, sizeof *inode));
    *inode = (struct inode){ .folder = is_folder, .mode = mode, .number = ++inodes_n };
    disk_name(folder, false, name, inode);
    struct change *change = disk_change(folder, CHANGE_LINK);
    change->name = disk_copy(name, strlen(name));
    change->inode = inode;
    return inode;
}

/* Makes a change last. `torn`: of a write, only some sectors. */
static void apply(struct inode *inode, const struct change *change, bool torn)
{
    switch (change->kind) {
    case CHANGE_RESIZE: disk_resize(&inode->durable, change->at); break;
    case CHANGE_WRITE:
        for (uint64_t at = change->at, end = at + change->bytes.len; at < end;) {
            uint64_t next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            next = next < end ? next : end;
            if (!torn || sim_below(2) == 0)
                disk_set(&inode->durable, at, span_of(change->bytes.data + (at - change->at), (size_t)(next - at)));
            at = next;
        }
        break;
    case CHANGE_LINK: disk_name(inode, true, change->name, change->inode); break;
    case CHANGE_UNLINK: disk_unname(inode, true, change->name); break;
    case CHANGE_RENAME:
        disk_unname(inode, true, change->name);
        disk_name(inode, true, change->to, change->inode);
        break;
    }
}

void disk_settle(struct inode *inode, bool all)
{
    for (struct change *change = inode->changes; change != NULL; change = change->next) {
        uint64_t share = all ? 0 : sim_below(3);
        if (share < 2)
            apply(inode, change, share == 1);
    }
    inode->changes = NULL;
}

/* --- the world's side */

static void each_inode(struct inode *inode, void (*call)(struct inode *inode))
{
    call(inode);
    for (struct name *name = inode->names; inode->folder && name != NULL; name = name->next)
        each_inode(name->inode, call);
}

static void settle_some(struct inode *inode)
{
    disk_settle(inode, false);
}

static void forget_cache(struct inode *inode)
{
    if (!inode->folder) {
        buf_clear(&inode->seen);
        buf_span(&inode->seen, span_buf(&inode->durable));
    }
    inode->names = NULL;
    for (struct name *name = inode->kept; name != NULL; name = name->next)
        disk_name(inode, false, name->text, name->inode);
}

/* Files whose names are gone as seen may come back: what is below a folder is settled under both sets of names. */
static void cut(struct inode *inode, unsigned depth)
{
    if (depth > 8)
        return;
    settle_some(inode);
    forget_cache(inode);
    for (struct name *name = inode->names; inode->folder && name != NULL; name = name->next)
        cut(name->inode, depth + 1);
}

void disk_power_cut(const char *path)
{
    struct inode *inode = disk_lookup(path);
    if (inode != NULL)
        cut(inode, 0);
}

static void settle_all(struct inode *inode)
{
    disk_settle(inode, true);
}

void disk_put(const char *path, struct span content)
{
    char name[256];
    struct inode *folder = disk_parent(path, name), **there = folder == NULL ? NULL : disk_find(folder, false, name);
    if (folder == NULL)
        abort();
    struct inode *inode = there != NULL ? *there : disk_make(folder, name, false, 0644);
    buf_clear(&inode->seen);
    buf_span(&inode->seen, content);
    disk_change(inode, CHANGE_RESIZE)->at = 0;
    buf_span(&disk_change(inode, CHANGE_WRITE)->bytes, content);
    each_inode(&disk_root, settle_all);
}

void disk_touch(const char *path, const char *file)
{
    char name[256];
    struct inode *folder = disk_lookup(path), *above = disk_parent(path, name);
    if (folder == NULL && above != NULL)
        folder = disk_make(above, name, true, 0700);
    if (folder != NULL && disk_find(folder, false, file) == NULL)
        disk_make(folder, file, false, 0600);
}

bool disk_get(const char *path, struct buf *out)
{
    struct inode *inode = disk_lookup(path);
    if (inode != NULL)
        buf_span(out, span_buf(&inode->seen));
    return inode != NULL;
}

void disk_close(struct fd *file)
{
    if (file->inode->locked == file)
        file->inode->locked = NULL;
    file->used = false;
}

void disk_close_all(struct machine *machine)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (disk_fds[i].used && disk_fds[i].machine == machine)
            disk_close(&disk_fds[i]);
}

/* Takes each file that may be flipped, one of them in the end, all alike. */
static void choose(struct inode *folder, const char *path, bool (*may)(const char *name), struct disk_flip *out, uint64_t *n)
{
    for (struct name *name = folder->names; name != NULL; name = name->next) {
        char inside[sizeof out->path];
        snprintf(inside, sizeof inside, "%s/%s", path, name->text);
        if (name->inode->folder) {
            choose(name->inode, inside, may, out, n);
        } else if (name->inode->seen.len > 0 && may(name->text) && sim_below(++*n) == 0) {
            out->inode = name->inode;
            memcpy(out->path, inside, sizeof inside);
        }
    }
}

static void turn(const struct disk_flip *flip)
{
    struct inode *inode = flip->inode;
    inode->seen.data[flip->at] ^= flip->bit;
    if (flip->at < inode->durable.len)
        inode->durable.data[flip->at] ^= flip->bit;
}

bool disk_flip(const char *root, bool (*may)(const char *name), struct disk_flip *out)
{
    struct inode *folder = disk_lookup(root);
    uint64_t n = 0;
    *out = (struct disk_flip){ .inode = NULL };
    if (folder != NULL)
        choose(folder, root, may, out, &n);
    struct inode *inode = out->inode;
    if (inode == NULL)
        return false;
    out->at = (size_t)sim_below(inode->seen.len);
    out->bit = (uint8_t)(1u << sim_below(8));
    turn(out);
    buf_span(&out->left, span_buf(&inode->seen));
    return true;
}

bool disk_flip_back(struct disk_flip *flip)
{
    struct inode *inode = flip->inode, *there = disk_lookup(flip->path);
    bool as_left =
        there == inode && inode->seen.len >= flip->left.len && memcmp(inode->seen.data, flip->left.data, flip->left.len) == 0;
    if (as_left)
        turn(flip);
    buf_free(&flip->left);
    return as_left;
}
