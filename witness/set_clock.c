/*
 * `stele-witness set-clock`: the signer signs nothing of a log while its clock is far behind the last signature for it. Where that
 * one's clock was ahead, only a person can say so.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/heads.h"
#include "witness/commands.h"

enum err cmd_set_clock(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct heads *heads = NULL;
    uint64_t now_s;
    size_t changed = 0;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = heads_clock_said(args.items[1], &now_s, why);
    if (err == OK)
        err = heads_take(&heads, args.items[0], why);
    if (err == OK)
        err = heads_clock_set(heads, now_s, &changed, why);
    if (err == OK)
        printf("%zu logs had a time in the future; the next cosignatures have the present one, below those given out before\n",
               changed);
    heads_close(heads);
    free(args.items);
    return err;
}
