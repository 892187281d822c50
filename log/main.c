#include "lib/sys/cli.h"
#include "log/commands.h"

static const struct cli_command commands[] = {
    { "init", "DIR --origin ORIGIN", "make a log's folder: its key, its configuration", cmd_init },
    { "serve", "DIR [--listen A:P]", "run the log", cmd_serve },
    { "fsck", "DIR | --from URL", "recompute all, and hold it against what was signed", cmd_fsck },
    { "backup", "DIR OUT", "copy a log, also while it runs, into the folder OUT", cmd_backup },
    { "recover", "DIR [--from URL] [FILE...]", "put back missing entries, from a copy or bundles", cmd_recover },
    { "freeze", "DIR [--note TEXT]", "end a log: it is served for ever, and takes nothing", cmd_freeze },
    { "set-clock", "DIR TIME", "say what time it is, after a clock that was ahead", cmd_set_clock },
    { "key", "DIR", "print the log's public key (vkey)", cmd_key },
    { 0 },
};

static const struct cli_program program = {
    .name = "stele-log",
    .help = "a transparency log for Nix build attestations",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv);
}
