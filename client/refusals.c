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

/* The reasoning with every line indented, so that a header line is known by its first character. */
static void indent(struct buf *out, struct span tree)
{
    struct span line;
    while (span_line(&tree, &line)) {
        buf_str(out, "  ");
        buf_span(out, line);
        buf_byte(out, '\n');
    }
}

void refusals_add(const struct client_config *config, struct span hash_part, struct span why_text, struct span tree)
{
    struct why why = { "out of memory" };
    struct buf record = BUF_EMPTY;
    char *path = path_join(config->state, "refusals"), *old = path_join(config->state, "refusals.old");
    buf_fmt(&record, "%llu %.*s %.*s\n", (unsigned long long)clock_posix_s(), SPAN_FMT(hash_part), SPAN_FMT(why_text));
    indent(&record, tree);
    if (path == NULL || old == NULL || record.failed || append(path, old, span_buf(&record), &why) != OK)
        report_why(REPORT_WARN, "refusal-not-kept", &why);
    buf_free(&record);
    free(path);
    free(old);
}

/* Takes one record: its header line and the indented lines below it. */
static bool next_record(struct span *rest, struct span *record, struct span *header)
{
    struct span start = *rest, line;
    if (!span_line(rest, header))
        return false;
    for (struct span ahead = *rest; span_line(&ahead, &line) && line.len > 0 && line.data[0] == ' ';)
        *rest = ahead;
    *record = span_of(start.data, (size_t)(rest->data - start.data));
    return true;
}

enum err refusals_find(const struct client_config *config, struct span hash_part, size_t most, struct buf *out, struct why *why)
{
    char *path = path_join(config->state, "refusals"), *old = path_join(config->state, "refusals.old");
    struct buf text = BUF_EMPTY;
    bool found;
    enum err err = path == NULL || old == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = file_read_if(old, 2 * REFUSALS_BYTES_MAX, &text, &found, why);
    if (err == OK)
        err = file_read_if(path, 2 * REFUSALS_BYTES_MAX, &text, &found, why);
    struct span rest = span_buf(&text), record, header, word, newest = { 0 };
    size_t n = 0, seen = 0;
    for (; err == OK && next_record(&rest, &record, &header); n++)
        if (span_word(&header, &word) && span_word(&header, &word) && span_eq(word, hash_part))
            newest = record;
    if (err == OK && hash_part.len > 0)
        buf_span(out, newest);
    for (rest = span_buf(&text); err == OK && hash_part.len == 0 && next_record(&rest, &record, &header); seen++)
        if (seen + most >= n)
            buf_span(out, record);
    if (err == OK)
        err = buf_done(out, why);
    buf_free(&text);
    free(path);
    free(old);
    return err;
}
