#define _GNU_SOURCE /* posix_openpt */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/cli.h"

/* What the command saw, as text: "out=… loud=… args=…". */
static char seen[1024];

static enum err run_go(int argc, char **argv, struct why *why)
{
    const char *out = NULL;
    bool loud = false;
    const struct cli_option options[] = { { "--out", "FILE", "where", &out, NULL }, { "--loud", NULL, "how", NULL, &loud }, { 0 } };
    struct cli_args args;
    enum err err = cli_parse(options, 0, 2, argc, argv, &args, why);
    if (err != OK) {
        snprintf(seen, sizeof seen, "%s", why->text);
        return err;
    }
    int len = snprintf(seen, sizeof seen, "out=%s loud=%d args=", out == NULL ? "none" : out, loud);
    for (size_t i = 0; i < args.n; i++)
        len += snprintf(seen + len, sizeof seen - (size_t)len, "[%s]", args.items[i]);
    free(args.items);
    return OK;
}

/* The lowest number that an opened file gets. */
static enum err run_open(int argc, char **argv, struct why *why)
{
    (void)argc;
    (void)argv;
    (void)why;
    return open("/dev/null", O_RDONLY) > STDERR_FILENO ? OK : ERR_REFUSED;
}

/* More than stdout's buffer holds; then what was wrong with stdout is over, as a full disk may be: the last flush finds nothing. */
static enum err run_print(int argc, char **argv, struct why *why)
{
    (void)argc;
    (void)argv;
    (void)why;
    for (int i = 0; i < 20000; i++)
        printf("line %d\n", i);
    return dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) == STDOUT_FILENO ? OK : ERR_REFUSED;
}

static const struct cli_command commands[] = {
    { "go", "[A [B]]", "goes", run_go }, { "open", "", "opens a file", run_open }, { "print", "", "prints much", run_print }, { 0 }
};
static const struct cli_program program = { "prog", "a program", commands };

static void words(void **state)
{
    static const struct {
        const char *words[7];
        int status;
        const char *seen;
    } cases[] = {
        { { "go" }, 0, "out=none loud=0 args=" },
        { { "go", "a", "--out", "f", "b" }, 0, "out=f loud=0 args=[a][b]" },
        { { "go", "--out=f=g", "--loud" }, 0, "out=f=g loud=1 args=" },
        { { "go", "--out=" }, 0, "out= loud=0 args=" },
        { { "go", "--out", "--loud" }, 0, "out=--loud loud=0 args=" },
        { { "go", "-" }, 0, "out=none loud=0 args=[-]" },
        { { "go", "--loud", "--", "--out", "--" }, 0, "out=none loud=1 args=[--out][--]" },
        { { "go", "a", "b", "c" }, 2, "usage: prog go [A [B]]" },
        { { "go", "--loud=yes" }, 2, "--loud takes no value" },
        { { "go", "--loud", "--loud" }, 2, "--loud is given twice" },
        { { "go", "--out=a", "--out", "b" }, 2, "--out is given twice" },
        { { "go", "--out" }, 2, "--out wants a value, FILE" },
        { { "go", "--ou", "f" }, 2, "there is no option --ou" },
        { { "go", "--outs=f" }, 2, "there is no option --outs" },
        { { "go", "-o" }, 2, "there is no option -o" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char copies[7][16], *argv[9] = { copies[6] };
        int argc = 1;
        snprintf(copies[6], sizeof copies[6], "prog");
        for (; argc <= 6 && cases[i].words[argc - 1] != NULL; argc++) {
            snprintf(copies[argc - 1], sizeof copies[0], "%s", cases[i].words[argc - 1]);
            argv[argc] = copies[argc - 1];
        }
        assert_int_equal(cli_main(&program, argc, argv), cases[i].status);
        assert_string_equal(seen, cases[i].seen);
    }
}

/* The status of `command` in a process of its own, without the descriptor `closed`, its stdout on `stdout_path`. */
static int status_of(const char *command, int closed, const char *stdout_path)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char name[] = "prog", copy[16], *argv[] = { name, copy, NULL };
        snprintf(copy, sizeof copy, "%s", command);
        int fd = stdout_path == NULL ? -1 : open(stdout_path, O_WRONLY);
        if (stdout_path != NULL && dup2(fd, STDOUT_FILENO) < 0)
            _exit(100);
        if (closed >= 0)
            close(closed);
        _exit(cli_main(&program, 2, argv));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A report must not end up in a file that took stderr's number. */
static void no_file_takes_the_place_of_stdio(void **state)
{
    (void)state;
    for (int closed = -1; closed <= STDERR_FILENO; closed++)
        assert_int_equal(status_of("open", closed, NULL), OK);
}

static void what_cannot_be_printed_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(status_of("print", -1, "/dev/null"), OK);
    assert_int_equal(status_of("print", -1, "/dev/full"), ERR_ENV);
}

/* What a terminal shows of it: one line, written over and over, and in the end nothing. */
static void progress_is_for_terminals(void **state)
{
    (void)state;
    static const char wanted[] = "\r\033[Kcounting  7"
                                 "\r\033[Kdone  [###############...............] 5/10"
                                 "\r\033[Kdone  [##############################] 11/10"
                                 "\r\033[K";
    char shown[256];
    size_t len = 0;
    int status, terminal = posix_openpt(O_RDWR | O_NOCTTY), file = open("/dev/null", O_WRONLY);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    int end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(end >= 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(end, STDERR_FILENO) < 0)
            _exit(100);
        cli_progress("counting", 7, 0);
        cli_progress("done", 5, 10);
        cli_progress("done", 11, 10);
        cli_progress_end();
        cli_progress_end(); /* once is enough */
        dup2(file, STDERR_FILENO);
        cli_progress("unseen", 1, 2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    while (len < sizeof wanted - 1) {
        ssize_t got = read(terminal, shown + len, sizeof shown - len);
        assert_true(got > 0);
        len += (size_t)got;
    }
    assert_int_equal(len, sizeof wanted - 1);
    assert_memory_equal(shown, wanted, len);
    close(terminal);
    close(end);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(progress_is_for_terminals), cmocka_unit_test(words),
                                        cmocka_unit_test(no_file_takes_the_place_of_stdio),
                                        cmocka_unit_test(what_cannot_be_printed_is_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
