/* `stele-witness remove-log`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "witness/commands.h"
#include "witness/logs_file.h"

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
        logs_edit_end_line(&text);
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
        fputs(LOGS_TAKEN_UP, stderr);
    logs_edit_end(&edit);
    free(args.items);
    return err;
}
