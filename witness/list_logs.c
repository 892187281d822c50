/* `stele-witness logs`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "witness/commands.h"
#include "witness/limits.h"
#include "witness/logs_file.h"

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
        err = logsfile_render(&out, &lines[i], why);
    if (err == OK)
        fwrite(out.data, 1, out.len, stdout);
    free(lines);
    free(path);
    buf_free(&text);
    buf_free(&out);
    return err;
}
