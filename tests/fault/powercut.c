/*
 * The power cut: what may be on the disk after one is put there, from a trace of a real run, and the real programs are held to
 * what they had said by then.
 *   powercut sites TRACE ROOT BASE               where there are syncs, a site a line: number, number of its place (the first
 *                                                site there), how often, the program, what, and who called
 *   powercut whole TRACE ROOT BASE DIR           makes DIR what the trace says ROOT was at its end, without a power cut
 *   powercut run TRACE ROOT BASE SCRATCH N SEED CHECK...
 *                                                N of the states in which a power cut may leave ROOT: each is made in
 *                                                SCRATCH/state/disk, with what was said by then beside it (cut/words.h), and
 *                                                `CHECK... SCRATCH/state` must succeed
 *   powercut without SITE|place:SITE TRACE ROOT BASE SCRATCH N SEED CHECK...
 *                                                the same as though the syncs of SITE, or of all of its place, were not in
 *                                                the program: of at most N states one must fail
 *   powercut signer KEY HEADS log|witness SHOWN  the signer over these files knows every head that it is said to have signed
 *                                                (SHOWN, see cut/words.h), and signs no other of that size
 * BASE is a copy of ROOT as it was when the recording began, or "-" where it was empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/checkpoint.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/signer.h"
#include "tests/fault/cut/states.h"

enum { FAILURES_MAX = 3, SHOWN_BYTES_MAX = 1 << 20, OUT_BYTES_MAX = 1 << 20 };

struct cutting {
    struct states states;
    const char *scratch;
    char **check; /* its last place is for the state's folder */
};

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(char **argv, const char *out)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0)
            execvp(argv[0], argv);
        _exit(127);
    }
    return pid < 0 ? -1 : wait_for(pid);
}

static enum err remove_tree(char *path, struct why *why)
{
    char rm[] = "rm", options[] = "-rf", *argv[] = { rm, options, path, NULL };
    return run(argv, "/dev/null") == 0 ? OK : fail(why, ERR_ENV, "cannot remove %s", path);
}

/* Makes one state, and runs the check over it. */
static enum err try_state(struct cutting *cutting, const struct state *state, bool *held, struct why *why)
{
    char dir[4096], to[4096], out[4096];
    snprintf(dir, sizeof dir, "%s/state", cutting->scratch);
    snprintf(to, sizeof to, "%.4000s/disk", dir);
    snprintf(out, sizeof out, "%s/out", cutting->scratch);
    enum err err = remove_tree(dir, why);
    if (err == OK && mkdir(dir, 0700) != 0)
        err = fail(why, ERR_ENV, "cannot make %s: %s", dir, strerror(errno));
    if (err == OK)
        err = disk_write(&cutting->states.disk, cutting->states.shares, state->seed, to, why);
    if (err == OK)
        err = words_write(&cutting->states.words, state->cut, dir, why);
    if (err != OK)
        return err;
    char **last = cutting->check;
    while (*last != NULL)
        last++;
    *last = dir;
    *held = run(cutting->check, out) == 0;
    *last = NULL;
    return OK;
}

static void show_output(const struct cutting *cutting)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    struct span rest, line;
    char out[4096];
    snprintf(out, sizeof out, "%s/out", cutting->scratch);
    if (file_read(out, OUT_BYTES_MAX, &text, &why) == OK) {
        rest = span_buf(&text);
        for (int i = 0; i < 20 && span_line(&rest, &line); i++)
            printf("#   %.*s\n", SPAN_FMT(line));
    }
    buf_free(&text);
}

/* Keeps the state of a failure for whoever looks into it. */
static void keep_failure(const struct cutting *cutting, unsigned number)
{
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/state", cutting->scratch);
    snprintf(to, sizeof to, "%s/failed-%u", cutting->scratch, number);
    struct why why;
    if (remove_tree(to, &why) == OK && rename(from, to) == 0)
        printf("#   kept in %s\n", to);
}

/* Tries up to `n` states. With a site taken out one failure is enough, and wanted. */
static enum err try_states(struct cutting *cutting, size_t n, uint64_t seed, struct why *why)
{
    unsigned failures = 0;
    size_t tried = 0;
    unsigned enough = cutting->states.without == NULL ? FAILURES_MAX : 1;
    enum err err = states_prepare(&cutting->states, n, why);
    size_t rounds = cutting->states.without != NULL && cutting->states.lost_n == 0 ? 0 : 20 * n;
    for (size_t i = 0; err == OK && tried < n && failures < enough && i < rounds; i++) {
        struct state state = states_pick(&cutting->states, seed, i);
        bool held = true;
        if (!states_choose(&cutting->states, &state))
            continue;
        tried++;
        err = try_state(cutting, &state, &held, why);
        if (err != OK || held)
            continue;
        states_print(&cutting->states, &state);
        show_output(cutting);
        if (cutting->states.without == NULL)
            keep_failure(cutting, failures);
        failures++;
    }
    if (err != OK)
        return err;
    printf("# %zu states tried, %u failed\n", tried, failures);
    if (cutting->states.without == NULL)
        return failures == 0 ? OK : fail(why, ERR_REFUSED, "a power cut loses what was promised");
    return failures > 0 ? OK : fail(why, ERR_REFUSED, "without this sync all held all the same");
}

static enum err map_trace(const char *path, struct span *out, struct why *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    void *at = fd < 0 || fstat(fd, &st) != 0 ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0)
        close(fd);
    if (at == MAP_FAILED)
        return fail(why, ERR_ENV, "cannot map %s: %s", path, strerror(errno));
    *out = span_of(at, (size_t)st.st_size);
    return OK;
}

static enum err load(struct cutting *cutting, char **argv, struct why *why)
{
    struct span trace;
    enum err err = map_trace(argv[0], &trace, why);
    if (err == OK)
        err = disk_load(&cutting->states.disk, trace, argv[1], strcmp(argv[2], "-") == 0 ? NULL : argv[2], why);
    return err == OK ? words_load(&cutting->states.words, trace, why) : err;
}

static enum err cmd_sites(char **argv, struct why *why)
{
    struct cutting cutting = { 0 };
    enum err err = load(&cutting, argv, why);
    for (size_t i = 0; err == OK && i < cutting.states.disk.sites_n; i++) {
        const struct disk_site *site = &cutting.states.disk.sites[i];
        printf("%zu %d %u %.*s %s", i, site->place, site->count, SPAN_FMT(site->program), site->what);
        for (size_t k = 0; k < site->frames_n; k++)
            printf(" 0x%" PRIx64, site->frames[k] - 1); /* inside the call, not behind it */
        putchar('\n');
    }
    return err;
}

static enum err cmd_whole(char **argv, struct why *why)
{
    struct cutting cutting = { 0 };
    enum err err = load(&cutting, argv, why);
    if (err == OK)
        err = states_prepare(&cutting.states, 0, why);
    if (err != OK)
        return err;
    memset(cutting.states.shares, DISK_WHOLE, cutting.states.disk.ops_n);
    printf("%zu operations, %zu syncs, %zu sites, %zu proofs, %zu heads\n", cutting.states.disk.ops_n,
           cutting.states.disk.cuts_n - 1, cutting.states.disk.sites_n, cutting.states.words.proofs_n,
           cutting.states.words.heads_n);
    return disk_write(&cutting.states.disk, cutting.states.shares, 0, argv[3], why);
}

/* "SITE" or "place:SITE". */
static enum err take_out(struct cutting *cutting, const char *what, struct why *why)
{
    struct span rest = span_str(what);
    const struct disk *disk = &cutting->states.disk;
    bool whole_place = span_skip(&rest, "place:");
    uint64_t site;
    cutting->states.without = calloc(disk->sites_n + 1, sizeof *cutting->states.without);
    if (cutting->states.without == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (disk->sites_n == 0 || !span_decimal(rest, disk->sites_n - 1, &site))
        return fail(why, ERR_USAGE, "there is no site %s", what);
    for (size_t i = 0; i < disk->sites_n; i++)
        cutting->states.without[i] = i == site || (whole_place && disk->sites[i].place == disk->sites[site].place);
    return OK;
}

static enum err cmd_run(const char *without, int argc, char **argv, struct why *why)
{
    struct cutting cutting = { .scratch = argv[3] };
    uint64_t n, seed;
    if (!span_decimal(span_str(argv[4]), 1 << 20, &n) || !span_decimal(span_str(argv[5]), UINT32_MAX, &seed))
        return fail(why, ERR_USAGE, "see the top of powercut.c");
    cutting.check = calloc((size_t)argc, sizeof *cutting.check);
    if (cutting.check == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (int i = 6; i < argc; i++)
        cutting.check[i - 6] = argv[i];
    enum err err = load(&cutting, argv, why);
    if (err == OK && without != NULL)
        err = take_out(&cutting, without, why);
    return err == OK ? try_states(&cutting, (size_t)n, seed, why) : err;
}

/* One line of SHOWN that is of this signer. */
static enum err hold_to(struct signer *signer, struct span origin, const struct head *shown, struct why *why)
{
    struct head_record last;
    struct signer_answer answer;
    bool found;
    enum err err = signer_last(signer, origin, &found, &last, why);
    if (err != OK)
        return err;
    if (!found || last.head.size < shown->size)
        return fail(why, ERR_REFUSED, "the signer has forgotten the head of size %" PRIu64 ": it knows %" PRIu64, shown->size,
                    found ? last.head.size : 0);
    if (last.head.size == shown->size && !hash_eq(&last.head.root, &shown->root))
        return fail(why, ERR_REFUSED, "the signer knows another root at size %" PRIu64, shown->size);
    struct checkpoint other = { .origin = origin, .size = shown->size, .root = shown->root };
    struct buf text = BUF_EMPTY;
    other.root.b[0] ^= 1;
    checkpoint_render(&text, &other);
    struct signer_request request = { .text = span_buf(&text), .old = shown->size };
    err = buf_done(&text, why);
    if (err == OK)
        err = signer_sign(signer, &request, 1, &answer, why);
    if (err == OK && answer.verdict == HEAD_OK)
        err = fail(why, ERR_REFUSED, "the signer has signed a second tree of size %" PRIu64, shown->size);
    buf_free(&text);
    return err;
}

static enum err hold_lines(struct signer *signer, struct span shown, struct why *why)
{
    struct span line;
    enum err err = OK;
    while (err == OK && span_line(&shown, &line)) {
        struct span word[4];
        struct head head;
        for (size_t i = 0; i < 4; i++)
            span_word(&line, &word[i]);
        if (!span_decimal(word[2], TREE_SIZE_MAX, &head.size) || !hex_decode(word[3], head.root.b, sizeof head.root.b))
            err = fail(why, ERR_MALFORMED, "a malformed line of heads");
        else if (span_eq(word[0], signer_key(signer)->name))
            err = hold_to(signer, word[1], &head, why);
    }
    return err;
}

static enum err cmd_signer(char **argv, struct why *why)
{
    struct signer *signer = NULL;
    struct buf shown = BUF_EMPTY;
    struct signer_config config = { .key_path = argv[0],
                                    .heads_path = argv[1],
                                    .type = strcmp(argv[2], "witness") == 0 ? SIG_COSIGNATURE : SIG_ED25519 };
    enum err err = key_system_start(why);
    if (err == OK)
        err = file_read(argv[3], SHOWN_BYTES_MAX, &shown, why);
    if (err == OK)
        err = signer_start(&signer, &config, why);
    if (err == OK)
        err = hold_lines(signer, span_buf(&shown), why);
    signer_stop(signer);
    buf_free(&shown);
    return err;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err;
    if (argc == 5 && strcmp(argv[1], "sites") == 0)
        err = cmd_sites(argv + 2, &why);
    else if (argc == 6 && strcmp(argv[1], "whole") == 0)
        err = cmd_whole(argv + 2, &why);
    else if (argc > 8 && strcmp(argv[1], "run") == 0)
        err = cmd_run(NULL, argc - 2, argv + 2, &why);
    else if (argc > 9 && strcmp(argv[1], "without") == 0)
        err = cmd_run(argv[2], argc - 3, argv + 3, &why);
    else if (argc == 6 && strcmp(argv[1], "signer") == 0)
        err = cmd_signer(argv + 2, &why);
    else
        err = fail(&why, ERR_USAGE, "see the top of powercut.c");
    if (err != OK)
        fprintf(stderr, "powercut: %s\n", why.text);
    return (int)err;
}
