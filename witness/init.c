/* `stele-witness init` and `stele-witness key`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/key.h"
#include "witness/commands.h"

static const char config_text[] = "# The configuration of a Stele witness.\n"
                                  "listen " WITNESS_LISTEN "\n";

static const char logs_text[] = "# Whose checkpoints are cosigned, one key a line: log VKEY [ORIGIN]\n"
                                "# `stele-witness add-log` adds lines; a running witness rereads them on SIGHUP.\n";

static enum err write_file(const char *dir, const char *name, const char *text, struct why *why)
{
    char *path = path_join(dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_create(path, 0644, span_str(text), why);
    free(path);
    return err;
}

static enum err make_key(const char *dir, const char *name, struct buf *vkey, struct why *why)
{
    struct secret_key *key = NULL;
    char *path = path_join(dir, "key"), *heads = path_join(dir, "heads");
    enum err err = path == NULL || heads == NULL ? fail(why, ERR_ENV, "out of memory") : key_system_start(why);
    if (err == OK)
        err = secret_key_new(&key, span_str(name), SIG_COSIGNATURE, why);
    if (err == OK)
        err = heads_create(heads, why);
    if (err == OK)
        err = secret_key_save(key, path, why);
    if (err == OK) {
        struct vkey public = secret_key_vkey(key);
        vkey_render(vkey, &public);
        err = buf_done(vkey, why);
    }
    secret_key_free(key);
    free(path);
    free(heads);
    return err;
}

static enum err no_files(void *ctx, const char *name, struct why *why)
{
    return fail(why, ERR_REFUSED, "%s is not empty (%s is in it): a witness gets a folder of its own", (const char *)ctx, name);
}

enum err cmd_init(int argc, char **argv, struct why *why)
{
    const char *name = NULL;
    const struct cli_option options[] = {
        { "--name", "NAME", "the witness's name, a URL without schema: witness.example.org", &name, NULL },
        { 0 },
    };
    struct cli_args args;
    struct buf vkey = BUF_EMPTY;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *dir = span_dup_str(span_str(args.items[0]));
    free(args.items);
    if (dir == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    else if (name == NULL)
        err = fail(why, ERR_USAGE, "--name is missing");
    else if (!key_name_ok(span_str(name)) || strstr(name, "://") != NULL)
        err = fail(why, ERR_USAGE, "a name is a URL without schema, without spaces and plus signs (signed-note, \"Format\")");
    else
        err = dir_make(dir, 0700, why);
    if (err == OK)
        err = dir_each(dir, no_files, dir, why);
    if (err == OK)
        err = make_key(dir, name, &vkey, why);
    if (err == OK)
        err = write_file(dir, "logs", logs_text, why);
    if (err == OK)
        err = write_file(dir, "config", config_text, why);
    if (err == OK) {
        printf("%.*s\nwitness %s %.*s https://%s\n", SPAN_FMT(vkey), name, SPAN_FMT(vkey), name);
        fprintf(stderr, "Logs put the second line into their policy, with the URL at which they reach this witness.\n"
                        "Next: `stele-witness add-log %s VKEY` for every log, then `stele-witness serve %s`.\n", dir, dir);
    }
    buf_free(&vkey);
    free(dir);
    return err;
}

enum err cmd_key(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct buf text = BUF_EMPTY;
    struct vkey key;
    struct span rest, line;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *path = path_join(args.items[0], "key.pub");
    free(args.items);
    err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, 8192, &text, why);
    if (err == OK) {
        rest = span_buf(&text);
        err = span_line(&rest, &line) && rest.len == 0 ? vkey_parse(&key, line, SIG_COSIGNATURE, why)
                                                      : fail(why, ERR_MALFORMED, "not exactly one line");
        if (err != OK)
            fail_in(why, err, "%s", path);
    }
    if (err == OK)
        printf("%.*s\n", SPAN_FMT(line));
    buf_free(&text);
    free(path);
    return err;
}
