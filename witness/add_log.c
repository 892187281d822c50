/* `stele-witness add-log` and `stele-witness logs`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/file.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "witness/commands.h"
#include "witness/limits.h"
#include "witness/logs.h"

/* DIR/lock is the running witness's: two add-logs exclude each other by the folder itself. */
static enum err lock_folder(const char *dir, int *fd, struct why *why)
{
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || flock(*fd, LOCK_EX) != 0)
        return fail(why, ERR_ENV, "cannot open %s: %s", dir, strerror(errno));
    return OK;
}

/* The file with the line added, checked as a whole: a key that stands there already is refused. */
static enum err add_line(const char *path, const struct vkey *key, struct span origin, struct buf *line, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct logsfile_line *lines;
    size_t n;
    enum err err = logsfile_render(line, key, origin, why);
    if (err == OK)
        err = file_read(path, LOGS_BYTES_MAX, &text, why);
    for (int with_line = 0; with_line < 2 && err == OK; with_line++) {
        if (with_line)
            buf_span(&text, span_buf(line));
        err = buf_done(&text, why);
        if (err == OK)
            err = logs_parse(span_buf(&text), path, &lines, &n, why);
        if (err == OK)
            free(lines);
        else if (with_line && err == ERR_MALFORMED)
            err = fail_in(why, ERR_REFUSED, "not added");
    }
    if (err == OK)
        err = file_replace(path, 0644, span_buf(&text), why);
    buf_free(&text);
    return err;
}

enum err cmd_add_log(int argc, char **argv, struct why *why)
{
    const char *origin = NULL;
    const struct cli_option options[] = {
        { "--origin", "ORIGIN", "the log's origin line, where it is not the key's name", &origin, NULL },
        { 0 },
    };
    struct cli_args args;
    struct vkey key;
    struct buf line = BUF_EMPTY;
    int fd = -1;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *path = path_join(args.items[0], "logs");
    err = path == NULL ? fail(why, ERR_ENV, "out of memory") : vkey_parse(&key, span_str(args.items[1]), SIG_ED25519, why);
    if (err == OK)
        err = lock_folder(args.items[0], &fd, why);
    if (err == OK)
        err = add_line(path, &key, origin != NULL ? span_str(origin) : key.name, &line, why);
    if (err == OK) {
        printf("%.*s", SPAN_FMT(line));
        fprintf(stderr, "A witness that is running takes it up on SIGHUP.\n");
    }
    if (fd >= 0)
        close(fd);
    buf_free(&line);
    free(path);
    free(args.items);
    return err;
}

enum err cmd_logs(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct buf text = BUF_EMPTY, out = BUF_EMPTY;
    struct logsfile_line *lines = NULL;
    size_t n = 0;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *path = path_join(args.items[0], "logs");
    free(args.items);
    err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, LOGS_BYTES_MAX, &text, why);
    if (err == OK)
        err = logs_parse(span_buf(&text), path, &lines, &n, why);
    for (size_t i = 0; i < n && err == OK; i++)
        err = logsfile_render(&out, &lines[i].key, lines[i].origin, why);
    if (err == OK)
        fwrite(out.data, 1, out.len, stdout);
    free(lines);
    free(path);
    buf_free(&text);
    buf_free(&out);
    return err;
}
