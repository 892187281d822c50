/* `stele-log init` and `stele-log key`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/service.h"
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
    "# Attestations a second of each builder's key, and of each address; 0 for no limit. Behind a reverse proxy, its address.\n"
    "#builder-rate 0\n"
    "#address-rate 0\n"
    "#proxy 127.0.0.1\n"
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

enum err cmd_init(int argc, char **argv, struct why *why)
{
    const char *origin = NULL;
    struct buf vkey = BUF_EMPTY;
    const struct cli_option options[] = {
        { "--origin", "ORIGIN", "the log's name for ever, a URL without schema: log.example.org", &origin, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    const char *dir = args.items[0];
    err = origin == NULL ? fail(why, ERR_USAGE, "--origin is missing") : service_init(dir, "log", origin, SIG_ED25519, &vkey, why);
    buf_byte(&vkey, '\0');
    if (err == OK)
        err = buf_done(&vkey, why);
    if (err == OK)
        err = write_file(dir, "policy", policy_text, (const char *)vkey.data, why);
    if (err == OK)
        err = write_file(dir, "builders", builders_text, "", why);
    if (err == OK)
        err = write_file(dir, "config", config_text, origin, why);
    if (err == OK) {
        printf("%s\n", (const char *)vkey.data);
        fprintf(stderr,
                "Next: add witnesses and a quorum to %s/policy and builders' keys to %s/builders, then `stele-log serve %s`.\n",
                dir, dir, dir);
    }
    buf_free(&vkey);
    free(args.items);
    return err;
}

enum err cmd_key(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct buf vkey = BUF_EMPTY;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = service_vkey(args.items[0], SIG_ED25519, &vkey, why);
    if (err == OK)
        printf("%.*s\n", SPAN_FMT(span_buf(&vkey)));
    buf_free(&vkey);
    free(args.items);
    return err;
}
