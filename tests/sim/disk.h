/*
 * What disk.c (what a disk holds, and what a power cut leaves of it) shares with disk_calls.c (the system calls) alone.
 */
#ifndef STELE_TESTS_SIM_DISK_H
#define STELE_TESTS_SIM_DISK_H

#include <sys/stat.h>

#include "tests/sim/sim.h"

enum { FD_FIRST = 1000, FDS_MAX = 512, SECTOR_BYTES = 512 };
enum { CHANGE_RESIZE = 1, CHANGE_WRITE, CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };

struct inode;

struct change {
    int kind;
    uint64_t at; /* of a write; the size of a resize */
    struct buf bytes;
    char *name, *to;
    struct inode *inode;
    struct change *next;
};

struct name {
    char *text;
    struct inode *inode;
    struct name *next;
};

struct inode {
    bool folder;
    mode_t mode;
    struct buf seen, durable;  /* of a file */
    struct name *names, *kept; /* of a folder: as seen, and as a power cut leaves them */
    struct change *changes;    /* not synced yet, oldest first */
    struct fd *locked;
    unsigned number;
};

struct fd {
    bool used;
    struct inode *inode;
    struct machine *machine;
    uint64_t at;
    bool append;
};

extern struct inode disk_root;
extern struct fd disk_fds[FDS_MAX];

/* `memory`, which must not be NULL. */
void *disk_need(void *memory);
char *disk_copy(const char *text, size_t len);
/* `kept`: among the names that a power cut leaves. */
struct inode **disk_find(struct inode *folder, bool kept, const char *text);
void disk_name(struct inode *folder, bool kept, const char *text, struct inode *inode);
void disk_unname(struct inode *folder, bool kept, const char *text);
void disk_set(struct buf *file, uint64_t at, struct span bytes);
void disk_resize(struct buf *file, uint64_t size);
/* A new one, the last of the inode's. */
struct change *disk_change(struct inode *inode, int kind);
/* The folder of a path, and its last name; NULL with errno. */
struct inode *disk_parent(const char *path, char name[256]);
struct inode *disk_lookup(const char *path);
struct inode *disk_make(struct inode *folder, const char *name, bool is_folder, mode_t mode);
/* All changes last, or of each what chance leaves. */
void disk_settle(struct inode *inode, bool all);
void disk_close(struct fd *file);

#endif
