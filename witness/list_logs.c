/* `stele-witness logs`: in the form of DIR/logs, so that another witness can take it as it is; what is suspended is a comment. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "witness/commands.h"
#include "witness/limits.h"
#include "witness/logs_file.h"

/* Behind the last line of each log, its mark. `heads` is NULL where they cannot be read. *suspended counts. */
static enum err render(struct buf *out, const struct logsfile_line *lines, size_t n, const struct heads *heads, size_t *suspended,
                       struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        struct span origin = lines[i].origin;
        struct hash origin_hash = sha256_of(origin);
        err = logsfile_render(out, &lines[i], why);
        if (heads == NULL || lines[i].kind == LOGSFILE_REMOVED || (i + 1 < n && span_eq(lines[i + 1].origin, origin)) ||
            !heads_suspended(heads, &origin_hash))
            continue;
        buf_fmt(out, "# suspended %.*s\n", SPAN_FMT(origin));
        ++*suspended;
    }
    return err == OK ? buf_done(out, why) : err;
}

enum err cmd_logs(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct buf text = BUF_EMPTY, out = BUF_EMPTY;
    struct logsfile_line *lines = NULL;
    struct heads *heads = NULL;
    size_t n = 0, suspended = 0;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    const char *dir = args.items[0];
    char *path = path_join(dir, "logs");
    err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, LOGS_BYTES_MAX, &text, why);
    if (err == OK)
        err = logs_parse(span_buf(&text), path, &lines, &n, why);
    if (err == OK) {
        enum err looked = heads_look(&heads, dir, why);
        if (looked != OK)
            fail_in(why, looked, "which logs are suspended cannot be told");
        err = render(&out, lines, n, heads, &suspended, why);
        if (err == OK) {
            fwrite(out.data, 1, out.len, stdout);
            err = looked;
        }
    }
    if (suspended > 0)
        fprintf(stderr, "%zu suspended, after a restore: `stele-witness resume %s ORIGIN LOG/checkpoint` goes on with one.\n",
                suspended, dir);
    heads_close(heads);
    free(lines);
    free(path);
    free(args.items);
    buf_free(&text);
    buf_free(&out);
    return err;
}
