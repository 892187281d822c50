/* `stele-log init` and `stele-log key`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/key.h"
#include "log/commands.h"
#include "log/config.h"

static const char config_text[] =
    "# The configuration of a Stele log. Paths are relative to this folder.\n"
    "origin %s\n"
    "listen " LOG_LISTEN "\n"
    "\n"
    "# The witnesses and the quorum (c2sp.org/tlog-policy); reread on SIGHUP.\n"
    "policy policy\n"
    "\n"
    "# Who may submit: a file of vkeys, one a line, reread on SIGHUP; or `builders open` for anybody.\n"
    "builders builders\n"
    "\n"
    "# How long a submission waits for its quorum, and the least time between two heads (for witnesses with a daily limit).\n"
    "#quorum-timeout-ms 10000\n"
    "#head-interval-ms 0\n"
    "\n"
    "# Bytes that stay free on the disk: below, nothing new is taken.\n"
    "#free-space-floor 67108864\n"
    "\n"
    "#connections-max 4096\n"
    "#connections-per-address-max 2048\n";

static const char policy_text[] =
    "# The policy of this log (c2sp.org/tlog-policy). Add the witnesses and the quorum, for example:\n"
    "#\n"
    "#   witness w1 VKEY https://witness-1.example\n"
    "#   witness w2 VKEY https://witness-2.example\n"
    "#   witness w3 VKEY https://witness-3.example\n"
    "#   group witnesses 2 w1 w2 w3\n"
    "#   quorum witnesses\n"
    "#\n"
    "# VKEY is what `stele-witness key` prints. The log publishes nothing that the quorum has not cosigned, and does not start\n"
    "# without a quorum line; `quorum none` asks no witness. The same file with this log's URL is what clients need.\n"
    "log %s\n";

static const char builders_text[] = "# The vkeys of the builders that may submit, one a line.\n";

/* Writes DIR/NAME from a format with one %s. */
static enum err write_file(const char *dir, const char *name, const char *fmt, const char *value, struct why *why)
{
    char *path = path_join(dir, name);
    struct buf text = BUF_EMPTY;
    struct span rest = span_str(fmt);
    ptrdiff_t at = span_find(rest, '%');
    buf_span(&text, at < 0 ? rest : span_cut(rest, 0, (size_t)at));
    if (at >= 0) {
        buf_str(&text, value);
        buf_span(&text, span_cut(rest, (size_t)at + 2, rest.len - (size_t)at - 2));
    }
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : buf_done(&text, why);
    if (err == OK)
        err = file_create(path, 0644, span_buf(&text), why);
    buf_free(&text);
    free(path);
    return err;
}

static enum err make_key(const char *dir, const char *origin, char **vkey, struct why *why)
{
    struct secret_key *key = NULL;
    struct buf text = BUF_EMPTY;
    char *path = path_join(dir, "key"), *heads = path_join(dir, "heads");
    enum err err = path == NULL || heads == NULL ? fail(why, ERR_ENV, "out of memory") : key_system_start(why);
    if (err == OK)
        err = secret_key_new(&key, span_str(origin), SIG_ED25519, why);
    if (err == OK)
        err = heads_create(heads, why);
    if (err == OK)
        err = secret_key_save(key, path, why);
    if (err == OK) {
        struct vkey public = secret_key_vkey(key);
        vkey_render(&text, &public);
        err = buf_done(&text, why);
    }
    if (err == OK && (*vkey = span_dup_str(span_buf(&text))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    secret_key_free(key);
    buf_free(&text);
    free(path);
    free(heads);
    return err;
}

static enum err no_files(void *ctx, const char *name, struct why *why)
{
    return fail(why, ERR_REFUSED, "%s is not empty (%s is in it): a log gets a folder of its own", (const char *)ctx, name);
}

enum err cmd_init(int argc, char **argv, struct why *why)
{
    const char *origin = NULL;
    char *vkey = NULL;
    const struct cli_option options[] = {
        { "--origin", "ORIGIN", "the log's name for ever, a URL without schema: log.example.org", &origin, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *dir = span_dup_str(span_str(args.items[0]));
    free(args.items);
    if (dir == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    else if (origin == NULL)
        err = fail(why, ERR_USAGE, "--origin is missing");
    else if (!key_name_ok(span_str(origin)) || strstr(origin, "://") != NULL || span_ends(span_str(origin), "/"))
        err = fail(why, ERR_USAGE, "an origin is a URL without schema and final slash, without space and plus (tlog-checkpoint)");
    else
        err = dir_make(dir, 0700, why);
    if (err == OK)
        err = dir_each(dir, no_files, dir, why);
    if (err == OK)
        err = make_key(dir, origin, &vkey, why);
    if (err == OK)
        err = write_file(dir, "policy", policy_text, vkey, why);
    if (err == OK)
        err = write_file(dir, "builders", builders_text, "", why);
    if (err == OK)
        err = write_file(dir, "config", config_text, origin, why);
    if (err == OK) {
        printf("%s\n", vkey);
        fprintf(stderr,
                "Next: add witnesses and a quorum to %s/policy and builders' keys to %s/builders, then `stele-log serve %s`.\n",
                dir, dir, dir);
    }
    free(vkey);
    free(dir);
    return err;
}

enum err cmd_key(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct buf text = BUF_EMPTY;
    struct vkey key;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    char *path = path_join(args.items[0], "key.pub");
    free(args.items);
    struct span rest, line;
    err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, 8192, &text, why);
    if (err == OK) {
        rest = span_buf(&text);
        err = span_line(&rest, &line) && rest.len == 0 ? vkey_parse(&key, line, SIG_ED25519, why)
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
