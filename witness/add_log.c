/* `stele-witness add-log`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "witness/commands.h"
#include "witness/logs_file.h"

/* The log's line, and its limit in place of an older one; a log that was removed is not any more. */
static enum err add(struct logs_edit *edit, const struct logsfile_line *log, uint64_t qpd, struct buf *lines, struct why *why)
{
    struct buf text = BUF_EMPTY;
    size_t dropped;
    unsigned kinds = 1u << LOGSFILE_REMOVED | (qpd > 0 ? 1u << LOGSFILE_LIMIT : 0);
    logsfile_without(&text, span_buf(&edit->text), log->origin, kinds, NULL, &dropped);
    logs_edit_end_line(&text);
    enum err err = logsfile_render(lines, log, why);
    if (err == OK && qpd > 0)
        err = logsfile_render(lines, &(struct logsfile_line){ .kind = LOGSFILE_LIMIT, .qpd = qpd, .origin = log->origin }, why);
    buf_span(&text, span_buf(lines));
    if (err == OK)
        err = buf_done(&text, why);
    if (err == OK)
        err = logs_edit_put(edit, span_buf(&text), why);
    buf_free(&text);
    return err;
}

enum err cmd_add_log(int argc, char **argv, struct why *why)
{
    const char *origin = NULL, *limit = NULL;
    const struct cli_option options[] = {
        { "--origin", "ORIGIN", "the log's origin line, where it is not the key's name", &origin, NULL },
        { "--limit", "QPD", "how many checkpoints a day it may send", &limit, NULL },
        { 0 },
    };
    struct cli_args args;
    struct logsfile_line log = { .kind = LOGSFILE_LOG };
    struct logs_edit edit = { .lock = -1 };
    struct buf lines = BUF_EMPTY;
    uint64_t qpd = 0;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (limit != NULL && (!span_decimal(span_str(limit), QPD_MAX, &qpd) || qpd == 0))
        err = fail(why, ERR_USAGE, "--limit wants a number from 1 to %llu", QPD_MAX);
    if (err == OK)
        err = vkey_parse(&log.key, span_str(args.items[1]), SIG_ED25519, why);
    if (err == OK)
        err = logs_edit_start(&edit, args.items[0], why);
    log.origin = origin != NULL ? span_str(origin) : log.key.name;
    if (err == OK)
        err = add(&edit, &log, qpd, &lines, why);
    if (err == OK) {
        printf("%.*s", SPAN_FMT(lines));
        fputs(LOGS_TAKEN_UP, stderr);
    }
    logs_edit_end(&edit);
    buf_free(&lines);
    free(args.items);
    return err;
}
