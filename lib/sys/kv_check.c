/* The structure of a database's file, looked at before LMDB maps it: see lib/lmdbfile.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lmdbfile.h"
#include "lib/sys/file.h"
#include "lib/sys/kv_internal.h"

static enum err check_file(int fd, const char *file, enum kv_values values, struct why *why)
{
    struct stat st;
    struct lmdbfile_stat stat;
    if (fstat(fd, &st) != 0)
        return fail(why, ERR_ENV, "cannot read %s: %s", file, strerror(errno));
    if (st.st_size == 0)
        return OK;
    size_t len = (size_t)st.st_size;
    void *at = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fail(why, ERR_ENV, "cannot read %s: %s", file, strerror(errno));
    if (values != KV_VALUES_SMALL)
        madvise(at, len, MADV_RANDOM);
    enum err err = lmdbfile_check(span_of(at, len), values == KV_VALUES_LATER ? LMDBFILE_VALUES_LATER : LMDBFILE_VALUES_NOW,
                                  values == KV_VALUES_SMALL ? NULL : kv_fetch, &stat, why);
    munmap(at, len);
    return err == OK ? OK : fail_in(why, err, "%s is damaged", file);
}

enum err kv_check(const char *path, enum kv_values values, struct why *why)
{
    char *file = path_join(path, "data.mdb");
    if (file == NULL)
        return fail(why, ERR_ENV, "out of memory");
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    enum err err = OK;
    if (fd >= 0)
        err = check_file(fd, file, values, why);
    else if (errno != ENOENT)
        err = fail(why, ERR_ENV, "cannot open %s: %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(file);
    return err;
}
