#include "lib/sys/cli.h"
#include "witness/commands.h"

static const struct cli_command commands[] = {
    { "init", "DIR --name NAME", "make a witness's folder: key and configuration", cmd_init },
    { "serve", "DIR [--listen A:P]", "run the witness", cmd_serve },
    { "key", "DIR [--bastion]", "print its public key (vkey), or its bastion hash", cmd_key },
    { "add-log", "DIR VKEY [--origin O]", "cosign a log's checkpoints from now on", cmd_add_log },
    { "remove-log", "DIR ORIGIN", "cosign them no longer", cmd_remove_log },
    { "logs", "DIR", "list the logs", cmd_logs },
    { "backup", "DIR OUT", "copy all but the key, also while it runs", cmd_backup },
    { "restore", "BACKUP DIR --key FILE", "make a witness of a backup, all logs suspended", cmd_restore },
    { "resume", "DIR ORIGIN [URL...]", "go on with a suspended log, at the newest head", cmd_resume },
    { "set-clock", "DIR TIME", "say what time it is, after a clock ran ahead", cmd_set_clock },
    { 0 },
};

static const struct cli_program program = {
    .name = "stele-witness",
    .help = "a witness for transparency logs (c2sp.org/tlog-witness)",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv);
}
