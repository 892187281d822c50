#include "client/refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"

enum { REFUSALS_BYTES_MAX = 1 << 20, TREE_BYTES_MAX = 64 << 10 };

/* What strangers logged of a path may be long: its first lines. */
static void put_tree(struct buf *out, struct span tree)
{
    size_t len = tree.len < TREE_BYTES_MAX ? tree.len : TREE_BYTES_MAX;
    while (len < tree.len && len > 0 && tree.data[len - 1] != '\n')
        len--;
    buf_add(out, tree.data, len);
    if (len < tree.len)
        buf_fmt(out, "  and %zu bytes more\n", tree.len - len);
}

static enum err append(const char *path, const char *old, struct span record, struct why *why)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > REFUSALS_BYTES_MAX && rename(path, old) != 0)
        return fail(why, ERR_ENV, "cannot rename %s: %s", path, strerror(errno));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return fail(why, ERR_ENV, "cannot write %s: %s", path, strerror(errno));
    ssize_t put = write(fd, record.data, record.len);
    close(fd);
    return put == (ssize_t)record.len ? OK : fail(why, ERR_ENV, "cannot write %s", path);
}

static void add(const struct client_config *config, bool warned, struct span hash_part, struct span why, struct span tree)
{
    struct why trouble = { "out of memory" };
    struct buf record = BUF_EMPTY, kept = BUF_EMPTY;
    char *path = path_join(config->state, "refusals"), *old = path_join(config->state, "refusals.old");
    put_tree(&kept, tree);
    const struct refusal refusal = {
        .time_s = clock_posix_s(), .warned = warned, .hash_part = hash_part, .why = why, .tree = span_buf(&kept)
    };
    refusalfile_add(&record, &refusal);
    if (path == NULL || old == NULL || kept.failed || record.failed || append(path, old, span_buf(&record), &trouble) != OK)
        report_why(REPORT_WARN, "refusal-not-kept", &trouble);
    buf_free(&record);
    buf_free(&kept);
    free(path);
    free(old);
}

void refusals_add(const struct client_config *config, struct span hash_part, struct span why, struct span tree)
{
    add(config, false, hash_part, why, tree);
}

void refusals_add_warned(const struct client_config *config, struct span hash_part, struct span why, struct span tree)
{
    add(config, true, hash_part, why, tree);
}

enum err refusals_read(const struct client_config *config, struct buf *out, struct why *why)
{
    char *path = path_join(config->state, "refusals"), *old = path_join(config->state, "refusals.old");
    bool found;
    enum err err = path == NULL || old == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = file_read_if(old, 2 * REFUSALS_BYTES_MAX, out, &found, why);
    if (err == OK)
        err = file_read_if(path, 2 * REFUSALS_BYTES_MAX, out, &found, why);
    free(path);
    free(old);
    return err;
}
