/*
 * Does a server keep to the specifications? Asks any C2SP witness or tlog-tiles log, by its URL alone, and prints a table of what
 * c2sp.org/tlog-witness, tlog-cosignature, tlog-tiles and tlog-checkpoint demand. README.md says how to point it at one's own.
 * Exit: 0 where no MUST failed, 1 where one did, 2 usage, 4 where nothing could be asked.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/sys/cli.h"
#include "tests/conformance/log.h"
#include "tests/conformance/table.h"
#include "tests/conformance/witness.h"
#include "tests/own_log.h"

enum { SECONDS_MAX = 600, BUNDLES = 64 };

static const char *const default_seed = "conformance.example";

static enum err run_vkeys(int argc, char **argv, struct why *why)
{
    struct cli_args args = { 0 };
    const char *seed = NULL;
    const struct cli_option options[] = { { "--seed", "NAME", "the logs' origins begin with it", &seed, NULL }, { 0 } };
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    if (err == OK) {
        http_client_free(driver_start(SECONDS_MAX));
        witness_print_logs(seed != NULL ? seed : default_seed);
    }
    free(args.items);
    return err;
}

/* A prefix may be given with its closing slash. */
static void drop_slashes(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        for (size_t len = strlen(argv[i]); strncmp(argv[i], "http", 4) == 0 && len > 0 && argv[i][len - 1] == '/';)
            argv[i][--len] = '\0';
}

static enum err run_witness(int argc, char **argv, struct why *why)
{
    struct cli_args args = { 0 };
    struct witness_under_test witness = { 0 };
    const struct cli_option options[] = {
        { "--seed", "NAME", "the logs' origins begin with it: as in `vkeys`", &witness.seed, NULL },
        { "--monitoring", "URL", "its monitoring prefix, where it is another", &witness.monitoring, NULL },
        { "--restart", "COMMAND", "kills the witness and starts it again, at the same address", &witness.restart, NULL },
        { 0 },
    };
    drop_slashes(argc, argv);
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err == OK)
        err = vkey_parse(&witness.key, span_str(args.items[1]), SIG_COSIGNATURE, why);
    if (err == OK) {
        struct http_client *client = driver_start(SECONDS_MAX);
        witness.submission = args.items[0];
        if (witness.seed == NULL)
            witness.seed = default_seed;
        if (witness.monitoring == NULL)
            witness.monitoring = witness.submission;
        table_start(client);
        bool any = witness_run(&witness), held = table_print(WITNESS);
        if (!any)
            err = fail(why, ERR_ENV, "no log could be used: add what `conformance vkeys` prints, or take a new --seed");
        else if (!held)
            err = fail(why, ERR_REFUSED, "the witness does not do all that it must");
        table_end();
        http_client_free(client);
    }
    free(args.items);
    return err;
}

static enum err run_log(int argc, char **argv, struct why *why)
{
    struct cli_args args = { 0 };
    struct log_under_test log = { .bundles = BUNDLES };
    const char *bundles = NULL;
    const struct cli_option options[] = {
        { "--old", "FILE", "an older checkpoint of it: the tree must have grown out of that", &log.old, NULL },
        { "--bundles", "N", "so many entry bundles are read at each end of the tree; 64", &bundles, NULL },
        { 0 },
    };
    drop_slashes(argc, argv);
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err == OK && bundles != NULL && !span_decimal(span_str(bundles), UINT32_MAX, &log.bundles))
        err = fail(why, ERR_USAGE, "--bundles wants a number");
    if (err == OK)
        err = vkey_parse(&log.key, span_str(args.items[1]), SIG_ED25519, why);
    if (err == OK) {
        struct http_client *client = driver_start(SECONDS_MAX);
        log.prefix = args.items[0];
        table_start(client);
        log_run(&log);
        if (!table_print(LOG))
            err = fail(why, ERR_REFUSED, "the log does not do all that it must");
        table_end();
        http_client_free(client);
    }
    free(args.items);
    return err;
}

static const struct cli_command commands[] = {
    { "vkeys", "[--seed NAME]", "the logs that a witness must be told of, \"ORIGIN VKEY\" lines", run_vkeys },
    { "witness", "URL VKEY [--seed NAME]", "asks the witness at this submission prefix, with this Ed25519 key", run_witness },
    { "log", "URL VKEY [--old FILE]", "reads the log at this URL prefix, with this Ed25519 key", run_log },
    { 0 },
};

int main(int argc, char **argv)
{
    const struct cli_program program = { "conformance", "does a witness or a log keep to the C2SP specifications?", commands };
    return cli_main(&program, argc, argv);
}
