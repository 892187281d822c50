#include "lib/sys/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELP_COLUMNS = 80 };

static const struct cli_program *program;
static const struct cli_command *command;

static void print_program(FILE *out)
{
    fprintf(out, "%s: %s\n\n", program->name, program->help);
    for (const struct cli_command *c = program->commands; c->name != NULL; c++)
        fprintf(out, "  %s %-15s %s\n", program->name, c->name, c->help);
    fprintf(out, "\n`%s COMMAND --help` tells more, `--version` the version.\n", program->name);
}

/* "  LEFT  TEXT" in HELP_COLUMNS, the text in a column of its own. */
static void print_option(const char *left, const char *text)
{
    int column = printf("  %-24s", left);
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (column + 1 + word > HELP_COLUMNS)
            column = printf("\n%-26s", "") - 1;
        column += printf(" %.*s", word, text);
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_command(const struct cli_option *options)
{
    printf("%s %s %s\n\n%s\n\n", program->name, command->name, command->usage, command->help);
    for (const struct cli_option *o = options; o->name != NULL; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        print_option(left, o->help);
    }
    print_option("--help", "this text");
}

static const struct cli_command *find(const char *name)
{
    for (const struct cli_command *c = program->commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* A program started without stdin, stdout or stderr would give their numbers to files, and write its reports into them. */
static bool hold_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
    program = p;
    if (!hold_stdio())
        return ERR_ENV;
    if (argc < 2) {
        print_program(stderr);
        return ERR_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_program(stdout);
        return OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program->name, STELE_VERSION);
        return OK;
    }
    command = find(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "%s: there is no command `%s`; try %s --help\n", program->name, argv[1], program->name);
        return ERR_USAGE;
    }
    struct why why = { "" };
    enum err err = command->run(argc - 1, argv + 1, &why);
    cli_progress_end();
    if ((fflush(stdout) != 0 || ferror(stdout)) && err == OK)
        err = fail(&why, ERR_ENV, "cannot write the output");
    if (err != OK && why.text[0] != '\0')
        fprintf(stderr, "%s %s: %s%s\n", program->name, command->name, why.text, err == ERR_USAGE ? "; try --help" : "");
    return (int)err;
}

/* Sets one option from argv[*at], taking its value from the same or the next word. */
static enum err take_option(const struct cli_option *options, int argc, char **argv, int *at, struct why *why)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    for (const struct cli_option *o = options; o->name != NULL; o++) {
        if (strlen(o->name) != len || memcmp(o->name, word, len) != 0)
            continue;
        if (o->value == NULL && equals != NULL)
            return fail(why, ERR_USAGE, "%s takes no value", o->name);
        if ((o->value == NULL && *o->flag) || (o->value != NULL && *o->text != NULL))
            return fail(why, ERR_USAGE, "%s is given twice", o->name);
        if (o->value == NULL)
            *o->flag = true;
        else if (equals != NULL)
            *o->text = equals + 1;
        else if (*at + 1 < argc)
            *o->text = argv[++*at];
        else
            return fail(why, ERR_USAGE, "%s wants a value, %s", o->name, o->value);
        return OK;
    }
    return fail(why, ERR_USAGE, "there is no option %.*s", (int)len, word);
}

enum err cli_parse(const struct cli_option *options, size_t args_min, size_t args_max, int argc, char **argv, struct cli_args *args,
                   struct why *why)
{
    bool options_ended = false;
    enum err err = OK;
    *args = (struct cli_args){ .items = calloc((size_t)argc + 1, sizeof *args->items) };
    if (args->items == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (int i = 1; i < argc && err == OK; i++) {
        if (options_ended || argv[i][0] != '-' || argv[i][1] == '\0') {
            args->items[args->n++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options_ended = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            print_command(options);
            exit(OK);
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", program->name, STELE_VERSION);
            exit(OK);
        } else {
            err = take_option(options, argc, argv, &i, why);
        }
    }
    if (err == OK && (args->n < args_min || args->n > args_max))
        err = fail(why, ERR_USAGE, "usage: %s %s %s", program->name, command->name, command->usage);
    if (err != OK) {
        free(args->items);
        args->items = NULL;
    }
    return err;
}

static bool progress_shown;

void cli_progress(const char *what, size_t done, size_t total)
{
    if (!isatty(STDERR_FILENO))
        return;
    progress_shown = true;
    if (total == 0) {
        fprintf(stderr, "\r\033[K%s  %zu", what, done);
        return;
    }
    char bar[31];
    size_t full = done >= total ? 30 : done * 30 / total;
    memset(bar, '.', sizeof bar - 1);
    memset(bar, '#', full);
    bar[30] = '\0';
    fprintf(stderr, "\r\033[K%s  [%s] %zu/%zu", what, bar, done, total);
}

void cli_progress_end(void)
{
    if (progress_shown)
        fprintf(stderr, "\r\033[K");
    progress_shown = false;
}
