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

enum { REFUSALS_BYTES_MAX = 1 << 20 };

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

static void add(const struct client_config *config, const struct refusal *refusal)
{
    struct why why = { "out of memory" };
    struct buf record = BUF_EMPTY;
    char *path = path_join(config->state, "refusals"), *old = path_join(config->state, "refusals.old");
    refusalfile_add(&record, refusal);
    if (path == NULL || old == NULL || record.failed || append(path, old, span_buf(&record), &why) != OK)
        report_why(REPORT_WARN, "refusal-not-kept", &why);
    buf_free(&record);
    free(path);
    free(old);
}

void refusals_add(const struct client_config *config, struct span hash_part, struct span why, struct span tree)
{
    add(config, &(struct refusal){ .time_s = clock_posix_s(), .hash_part = hash_part, .why = why, .tree = tree });
}

void refusals_add_warned(const struct client_config *config, struct span hash_part, struct span why, struct span tree)
{
    add(config, &(struct refusal){ .time_s = clock_posix_s(), .warned = true, .hash_part = hash_part, .why = why, .tree = tree });
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
