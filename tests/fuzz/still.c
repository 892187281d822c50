#define _GNU_SOURCE /* nftw */
#include "tests/fuzz/still.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/child.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *still_folder(void)
{
    if (folder[0] != '\0')
        return folder;
    /* In memory, where there is such a place: LMDB syncs through a flag of open(2), too. */
    snprintf(folder, sizeof folder, "%s/stele-fuzz.XXXXXX", access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL)
        abort();
    atexit(remove_folder);
    return folder;
}

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time, (void)left;
    return 0;
}

/* --- lib/sys/child.h */

struct child {
    struct child_role role;
    bool dead;
};
static struct child *newest;

enum err child_start(struct child **out, const struct child_role *role, struct buf *hello, struct why *why)
{
    struct child *child = calloc(1, sizeof *child);
    struct buf unused = BUF_EMPTY;
    if (child == NULL)
        abort();
    child->role = *role;
    *out = newest = child;
    enum err err = role->start(role->ctx, hello == NULL ? &unused : hello, why);
    buf_free(&unused);
    return err;
}

enum err child_call(struct child *child, struct span request, struct buf *reply, struct why *why)
{
    struct buf unused = BUF_EMPTY;
    if (!child->dead && child->role.serve(child->role.ctx, request, reply == NULL ? &unused : reply, why) != OK)
        child->dead = true; /* as a real one ends */
    buf_free(&unused);
    return child->dead ? fail(why, ERR_ENV, "%s died", child->role.name) : OK;
}

enum err child_lives(const struct child *child, struct why *why)
{
    (void)child, (void)why;
    return OK; /* a refusal to go on is its last word */
}

enum err still_ask(struct span request, struct buf *reply, struct why *why)
{
    return newest->role.serve(newest->role.ctx, request, reply, why);
}

void child_stop(struct child *child)
{
    if (child == NULL)
        return;
    if (child->role.end != NULL)
        child->role.end(child->role.ctx);
    free(child);
}
