/*
 * `stele-log set-clock`: the signer signs nothing while its clock is far behind the last signature. Where that one's clock was
 * ahead, only a person can say so. No checkpoint carries a time: nothing that was published becomes untrue by it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/heads.h"
#include "log/commands.h"
#include "log/config.h"

static enum err set_clock(const struct log_config *config, uint64_t now_s, struct why *why)
{
    struct heads *heads;
    size_t changed = 0;
    enum err err = heads_take(&heads, config->dir, why);
    if (err == OK)
        err = heads_clock_set(heads, now_s, &changed, why);
    if (err == OK)
        puts(changed > 0 ? "the last head had a time in the future; the next one has the present"
                         : "the last head's time is not in the future: nothing to do");
    heads_close(heads);
    return err;
}

enum err cmd_set_clock(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct log_config config;
    uint64_t now_s;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = heads_clock_said(args.items[1], &now_s, why);
    if (err == OK && (err = log_config_load(&config, args.items[0], why)) == OK) {
        err = set_clock(&config, now_s, why);
        log_config_free(&config);
    }
    free(args.items);
    return err;
}
