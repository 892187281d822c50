/* `stele-witness init` and `stele-witness key`. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/service.h"
#include "witness/bastions.h"
#include "witness/commands.h"

static const char config_text[] = "# The configuration of a Stele witness.\n"
                                  "listen " WITNESS_LISTEN "\n"
                                  "# Log lists of the witness network, files or URLs, read every hour; what is new is added.\n"
                                  "#log-list https://witness-network.org/lists/testing/log-list.1\n"
                                  "# Behind NAT: a bastion; it must know the hash that `stele-witness key DIR --bastion` prints.\n"
                                  "#bastion bastion.example.org:443\n";

static const char logs_text[] = "# Whose checkpoints are cosigned, one key a line: log VKEY [ORIGIN]\n"
                                "# add-log, remove-log and log lists change it; a running witness rereads it on SIGHUP.\n";

static enum err write_file(const char *dir, const char *name, const char *text, struct why *why)
{
    char *path = path_join(dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_create(path, 0644, span_str(text), why);
    free(path);
    return err;
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
    const char *dir = args.items[0];
    err =
        name == NULL ? fail(why, ERR_USAGE, "--name is missing") : service_init(dir, "witness", name, SIG_COSIGNATURE, &vkey, why);
    if (err == OK)
        err = write_file(dir, "logs", logs_text, why);
    if (err == OK)
        err = write_file(dir, "config", config_text, why);
    if (err == OK) {
        printf("%.*s\nwitness %s %.*s https://%s\n", SPAN_FMT(vkey), name, SPAN_FMT(vkey), name);
        fprintf(stderr,
                "Logs put the second line into their policy, with the URL at which they reach this witness.\n"
                "Next: `stele-witness add-log %s VKEY` for every log, then `stele-witness serve %s`.\n",
                dir, dir);
    }
    buf_free(&vkey);
    free(args.items);
    return err;
}

static enum err print_bastion_name(const char *dir, struct why *why)
{
    struct secret_key *key = NULL;
    char name[65];
    enum err err = key_system_start(why);
    if (err == OK)
        err = bastion_key_take(&key, dir, why);
    if (err == OK) {
        bastion_name(key, name);
        puts(name);
    }
    secret_key_free(key);
    return err;
}

enum err cmd_key(int argc, char **argv, struct why *why)
{
    bool bastion = false;
    const struct cli_option options[] = {
        { "--bastion", NULL, "the hash by which bastions know it; its key is made where there is none", NULL, &bastion },
        { 0 },
    };
    struct cli_args args;
    struct buf vkey = BUF_EMPTY;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (bastion) {
        err = print_bastion_name(args.items[0], why);
        free(args.items);
        return err;
    }
    err = service_vkey(args.items[0], SIG_COSIGNATURE, &vkey, why);
    if (err == OK)
        printf("%.*s\n", SPAN_FMT(span_buf(&vkey)));
    buf_free(&vkey);
    free(args.items);
    return err;
}
