/*
 * Command lines: a table of commands, a table of options a command, --help and --version everywhere.
 *
 * A program's main is `return cli_main(&program, argc, argv)`. A command's run function returns an `enum err`, which is
 * the exit code. Errors go to stderr as "PROGRAM COMMAND: what is wrong".
 */
#ifndef STELE_SYS_CLI_H
#define STELE_SYS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/why.h"

struct cli_option {
    const char *name;  /* "--listen" */
    const char *value; /* what stands for the value in the help, or NULL for a flag */
    const char *help;
    const char **text; /* set to the value given; an option given twice is an error */
    bool *flag;
};

struct cli_args {
    const char **items; /* what is not an option, in order */
    size_t n;
};

struct cli_command {
    const char *name;                                        /* "init" */
    const char *usage;                                       /* "DIR --origin ORIGIN" */
    const char *help;                                        /* a line */
    enum err (*run)(int argc, char **argv, struct why *why); /* argv[0] is the command's name */
};

struct cli_program {
    const char *name, *help;
    const struct cli_command *commands; /* ended by a NULL name */
};

int cli_main(const struct cli_program *program, int argc, char **argv);

/* Parses a command's options (ended by a NULL name) and from `args_min` to `args_max` arguments; "--" ends the options.
 * --help prints the command's help and exits 0. ERR_USAGE. The caller frees args->items. */
enum err cli_parse(const struct cli_option *options, size_t args_min, size_t args_max, int argc, char **argv, struct cli_args *args,
                   struct why *why);

/* A progress bar on stderr, on a terminal only: "what  done/total". total 0: unknown. cli_progress_end clears it. */
void cli_progress(const char *what, size_t done, size_t total);
void cli_progress_end(void);

#endif
