/* `stele-witness add-log`, `remove-log` and `logs`: DIR/logs. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "witness/commands.h"
#include "witness/limits.h"
#include "witness/logs_file.h"

static const char taken_up[] = "A witness that is running takes it up on SIGHUP.\n";

/* A file that an editor left without its last newline would swallow the line that is added. */
static void end_line(struct buf *text)
{
    if (text->len > 0 && text->data[text->len - 1] != '\n')
        buf_byte(text, '\n');
}

/* The log's line, and its limit in place of an older one; a log that was removed is not any more. */
static enum err add(struct logs_edit *edit, const struct logsfile_line *log, uint64_t qpd, struct buf *lines, struct why *why)
{
    struct buf text = BUF_EMPTY;
    size_t dropped;
    unsigned kinds = 1u << LOGSFILE_REMOVED | (qpd > 0 ? 1u << LOGSFILE_LIMIT : 0);
    logsfile_without(&text, span_buf(&edit->text), log->origin, kinds, NULL, &dropped);
    end_line(&text);
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
        fputs(taken_up, stderr);
    }
    logs_edit_end(&edit);
    buf_free(&lines);
    free(args.items);
    return err;
}

/* Does a key of the origin stay after `key` (NULL: all of them) is gone? */
static bool key_stays(const struct logs_edit *edit, struct span origin, const struct vkey *key)
{
    const struct logsfile_line *line = logs_lines_of(edit->lines, edit->n, origin), *end = edit->lines + edit->n;
    for (; key != NULL && line != NULL && line < end && line->kind == LOGSFILE_LOG && span_eq(line->origin, origin); line++)
        if (memcmp(line->key.key, key->key, sizeof key->key) != 0)
            return true;
    return false;
}

static enum err remove_lines(struct logs_edit *edit, struct span origin, const struct vkey *key, struct why *why)
{
    struct buf text = BUF_EMPTY;
    size_t dropped, limits;
    enum err err = OK;
    bool stays = key_stays(edit, origin, key);
    logsfile_without(&text, span_buf(&edit->text), origin, 1u << LOGSFILE_LOG, key, &dropped);
    if (dropped == 0)
        err = fail(why, ERR_REFUSED, "%s has no such line of the origin %.*s", edit->path, SPAN_FMT(origin));
    if (err == OK && !stays) {
        struct buf rest = BUF_EMPTY;
        logsfile_without(&rest, span_buf(&text), origin, 1u << LOGSFILE_LIMIT, NULL, &limits);
        buf_free(&text);
        text = rest;
        end_line(&text);
        err = logsfile_render(&text, &(struct logsfile_line){ .kind = LOGSFILE_REMOVED, .origin = origin }, why);
    }
    if (err == OK)
        err = buf_done(&text, why);
    if (err == OK)
        err = logs_edit_put(edit, span_buf(&text), why);
    buf_free(&text);
    return err;
}

enum err cmd_remove_log(int argc, char **argv, struct why *why)
{
    const char *vkey = NULL;
    const struct cli_option options[] = {
        { "--key", "VKEY", "only this key; with the last one the log goes", &vkey, NULL },
        { 0 },
    };
    struct cli_args args;
    struct vkey key;
    struct logs_edit edit = { .lock = -1 };
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (vkey != NULL)
        err = vkey_parse(&key, span_str(vkey), SIG_ED25519, why);
    if (err == OK)
        err = logs_edit_start(&edit, args.items[0], why);
    if (err == OK)
        err = remove_lines(&edit, span_str(args.items[1]), vkey != NULL ? &key : NULL, why);
    if (err == OK)
        fputs(taken_up, stderr);
    logs_edit_end(&edit);
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
        err = logsfile_render(&out, &lines[i], why);
    if (err == OK)
        fwrite(out.data, 1, out.len, stdout);
    free(lines);
    free(path);
    buf_free(&text);
    buf_free(&out);
    return err;
}
