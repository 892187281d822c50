/*
 * sim [-s|-c] FIRST COUNT [JOBS]     runs seeds FIRST to FIRST + COUNT - 1, each in a process of its own; the last line counts.
 *                                    -s: no sync of a file does anything; -c: no commit of the store lasts. Both must be found.
 * sim -v SEED                        one seed, with its story
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/checkpoint.h"
#include "lib/sys/key.h"
#include "lib/tile.h"
#include "tests/attestation.h"
#include "tests/sim/chaos.h"

enum { CLIENTS = 4, ATTESTATIONS = 120, RUN_S_MAX = 40 };
static const uint64_t WORLD_US = UINT64_C(6) * 3600 * 1000000; /* a run that is not over by then hangs */

enum err log_cmd_init(int argc, char **argv, struct why *why);
enum err witness_cmd_init(int argc, char **argv, struct why *why);
enum err witness_cmd_add_log(int argc, char **argv, struct why *why);

static bool verbose;
static FILE *story; /* the real standard output: the programs' own is nobody's */
static uint64_t seed_of_run, until_us;
static struct buf lines[ATTESTATIONS];
static struct hash digest; /* of the whole story: two runs of a seed have the same */

void sim_say(const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct buf all = BUF_EMPTY;
    buf_span(&all, span_of(digest.b, sizeof digest.b));
    buf_fmt(&all, "%llu ", (unsigned long long)sim_now_us());
    buf_span(&all, span_of(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1));
    digest = sha256_of(span_buf(&all));
    buf_free(&all);
    if (verbose)
        fprintf(story, "%12.6f  %s\n", (double)sim_now_us() / 1e6, text);
}

void sim_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(story, "seed %llu fails at %.6f s: ", (unsigned long long)seed_of_run, (double)sim_now_us() / 1e6);
    vfprintf(story, fmt, args);
    fputc('\n', story);
    va_end(args);
    fflush(story);
    _exit(1);
}

static const char *random_name(void)
{
    return "seed";
}

static uint32_t random_32(void)
{
    return (uint32_t)sim_random();
}

static void random_bytes(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)sim_random();
}

static void must(enum err err, const struct why *why)
{
    if (err != OK)
        sim_fail("the world cannot be made: %s", why->text);
}

static void read_line(const char *path, struct buf *out)
{
    if (!disk_get(path, out))
        sim_fail("%s is missing", path);
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->len--;
}

static void make_attestations(void)
{
    struct secret_key *key = NULL;
    struct why why;
    must(secret_key_new(&key, span_str("builder.example"), SIG_ED25519, &why), &why);
    for (uint64_t i = 0; i < ATTESTATIONS; i++)
        must(test_attestation(&lines[i], key, i, i % 50 == 49 ? 300 : 3, &why), &why);
    secret_key_free(key);
}

/* The folders as `init` makes them, the witnesses told of the log, the log of its witnesses: two of three are its quorum. */
static void make_machines(void)
{
    struct why why;
    struct buf log = BUF_EMPTY, witness[WITNESSES] = { { 0 } }, policy = BUF_EMPTY, config = BUF_EMPTY;
    struct span keys[WITNESSES];
    char *init[] = { (char *)(uintptr_t) "init", (char *)(uintptr_t) "/log", (char *)(uintptr_t) "--origin",
                     (char *)(uintptr_t) "log.example/sim", NULL };
    must(log_cmd_init(4, init, &why), &why);
    read_line("/log/key.pub", &log);
    buf_str(&policy, "log ");
    buf_span(&policy, span_buf(&log));
    buf_byte(&log, '\0');
    for (size_t i = 0; i < WITNESSES; i++) {
        char folder[16], name[32], path[32];
        snprintf(folder, sizeof folder, "/w%zu", i);
        snprintf(name, sizeof name, "w%zu.example", i);
        snprintf(path, sizeof path, "/w%zu/key.pub", i);
        char *make[] = { (char *)(uintptr_t) "init", folder, (char *)(uintptr_t) "--name", name, NULL };
        must(witness_cmd_init(4, make, &why), &why);
        char *add[] = { (char *)(uintptr_t) "add-log", folder, (char *)log.data, NULL };
        must(witness_cmd_add_log(3, add, &why), &why);
        read_line(path, &witness[i]);
        keys[i] = span_buf(&witness[i]);
        buf_fmt(&policy, "\nwitness w%zu ", i);
        buf_span(&policy, keys[i]);
        buf_fmt(&policy, " http://w%zu:7381", i);
    }
    buf_str(&policy, "\ngroup all 2 w0 w1 w2\nquorum all\n");
    disk_put("/log/policy", span_buf(&policy));
    buf_str(&config, "origin log.example/sim\npolicy policy\nbuilders open\nquorum-timeout-ms 5000\n");
    disk_put("/log/config", span_buf(&config));
    must(history_start(span_buf(&policy), span_str((const char *)log.data), keys, WITNESSES, &why), &why);
}

/* Posts attestation `i`; true where it was proven. */
static bool post(size_t i, uint64_t timeout_us)
{
    struct sim_reply reply = { 0 };
    struct span body = span_buf(&lines[i]);
    net_call("log", "/attestations", &body, timeout_us, &reply);
    buf_free(&reply.body);
    if (reply.status != 200 && reply.status != 0 && reply.status != 503)
        sim_fail("the log answers %u to an attestation", reply.status);
    return reply.status == 200;
}

static void *client(void *arg)
{
    struct sim_reply reply = { 0 };
    (void)arg;
    while (sim_now_us() < until_us) {
        size_t i = (size_t)sim_below(ATTESTATIONS - 1);
        while (!post(i, 1000000 + sim_below(20000000)) && sim_now_us() < until_us)
            sim_sleep_us(sim_below(1000000));
        if (sim_below(4) == 0)
            net_call("log", "/checkpoint", NULL, 5000000, &reply);
        sim_sleep_us(sim_below(300000));
    }
    buf_free(&reply.body);
    return NULL;
}

/* What must answer now that all is well. */
static void get(const char *path, struct sim_reply *reply)
{
    uint64_t patience_us = sim_now_us() + UINT64_C(60) * 1000000;
    while (net_call("log", path, NULL, 5000000, reply), reply->status != 200 && sim_now_us() < patience_us)
        sim_sleep_us(1000000);
    if (reply->status != 200)
        sim_fail("%s is answered with %u though all is well", path, reply->status);
}

/* The log's entries, from its own bundles, under its published head. */
static void read_log(void)
{
    struct sim_reply reply = { 0 };
    struct checkpoint checkpoint;
    struct note note;
    struct why why;
    get("/checkpoint", &reply);
    must(note_parse(&note, span_buf(&reply.body), &why), &why);
    must(checkpoint_parse(&checkpoint, note.text, &why), &why);
    uint64_t size = checkpoint.size;
    struct hash *leaves = calloc(size + 1, sizeof *leaves);
    struct sim_reply bundle = { 0 };
    for (uint64_t number = 0; number * TILE_WIDTH < size; number++) {
        char path[1 + TILE_PATH_MAX] = "/";
        struct span entries[TILE_WIDTH];
        struct tile tile = { .entries = true, .index = number, .width = (uint16_t)tile_width(0, number, size) };
        tile_path_render(&tile, path + 1);
        get(path, &bundle);
        must(bundle_parse(span_buf(&bundle.body), tile.width, entries, &why), &why);
        for (unsigned i = 0; i < tile.width; i++)
            leaves[number * TILE_WIDTH + i] = merkle_leaf_hash(entries[i]);
    }
    history_hold(leaves, size);
    free(leaves);
    buf_free(&reply.body);
    buf_free(&bundle.body);
}

/* All that was proven once is proven again, at its index, and what is new is taken. */
static void ask_again(void)
{
    uint64_t patience_us = sim_now_us() + UINT64_C(600) * 1000000;
    for (size_t i = ATTESTATIONS; i-- > 0;) {
        struct span rest = span_buf(&lines[i]), line;
        while (span_line(&rest, &line) && span_starts(line, "{\"inputs\""))
            continue;
        struct hash leaf = merkle_leaf_hash(line);
        if (i < ATTESTATIONS - 1 && history_index(&leaf) == UINT64_MAX)
            continue;
        while (!post(i, 20000000)) {
            if (sim_now_us() > patience_us)
                sim_fail("attestation %zu is not answered though all is well", i);
            sim_sleep_us(1000000);
        }
    }
}

static void *world(void *arg)
{
    (void)arg;
    make_attestations();
    make_machines();
    chaos_choose();
    until_us = sim_now_us() + UINT64_C(2000000) + sim_below((uint64_t)RUN_S_MAX * 1000000);
    for (size_t i = 0; i < MACHINES; i++) {
        machine_start(&machines[i]);
        sim_spawn(NULL, chaos_operate, &machines[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        sim_spawn(NULL, client, NULL);
    chaos_run(&until_us);
    if (!chaos_heal())
        return NULL;
    ask_again();
    read_log();
    chaos_check_log();
    return NULL;
}

static int run_seed(uint64_t seed)
{
    static struct randombytes_implementation chance = { .implementation_name = random_name,
                                                        .random = random_32,
                                                        .buf = random_bytes };
    struct why why;
    seed_of_run = seed;
    sim_seed(seed);
    randombytes_set_implementation(&chance);
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        return 1;
    must(key_system_start(&why), &why);
    if (!sim_run(world, NULL, WORLD_US))
        sim_fail("nothing moves any more");
    struct history_counts counts = history_counts();
    struct flip_counts flips = flip_counts();
    fprintf(story,
            "seed %llu holds: %zu proofs, %zu heads, %zu cosigned, %u bits turned, %u found, %.1f s, story %02x%02x%02x%02x\n",
            (unsigned long long)seed, counts.proofs, counts.log_heads, counts.witness_heads, flips.turned, flips.found,
            (double)sim_now_us() / 1e6, digest.b[0], digest.b[1], digest.b[2], digest.b[3]);
    fflush(story);
    return 0;
}

static bool parse(const char *text, uint64_t *out)
{
    return span_decimal(span_str(text), UINT64_MAX, out);
}

/* `jobs` processes at a time; how many failed. */
static uint64_t run_seeds(uint64_t first, uint64_t count, uint64_t jobs)
{
    uint64_t failed = 0, started = 0, running = 0;
    pid_t *runs = calloc(count + 1, sizeof *runs);
    if (runs == NULL)
        return count;
    while (started < count || running > 0) {
        if (started < count && running < jobs) {
            fflush(story);
            if ((runs[started] = fork()) == 0)
                _exit(run_seed(first + started));
            if (runs[started] < 0)
                return count;
            started++;
            running++;
            continue;
        }
        int status;
        pid_t ended = wait(&status);
        if (ended < 0)
            return count;
        running--;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failed++;
        for (uint64_t i = 0; WIFSIGNALED(status) && i < started; i++)
            if (runs[i] == ended)
                fprintf(story, "seed %" PRIu64 " fails: ended by signal %d\n", first + i, WTERMSIG(status));
    }
    free(runs);
    return failed;
}

int main(int argc, char **argv)
{
    uint64_t first, count = 1, jobs = 2;
    story = fdopen(dup(STDOUT_FILENO), "w");
    if (story == NULL)
        return 4;
    if (argc > 3 && (strcmp(argv[1], "-s") == 0 || strcmp(argv[1], "-c") == 0)) {
        sim_faults.syncs_lie = argv[1][1] == 's';
        sim_faults.commits_lie = argv[1][1] == 'c';
        argc--;
        argv++;
    }
    if (argc == 3 && strcmp(argv[1], "-v") == 0 && parse(argv[2], &first)) {
        verbose = true;
        return run_seed(first);
    }
    if (argc < 3 || argc > 4 || !parse(argv[1], &first) || !parse(argv[2], &count) || (argc == 4 && !parse(argv[3], &jobs))) {
        fprintf(stderr, "usage: sim [-s|-c] FIRST COUNT [JOBS] | sim -v SEED\n");
        return 2;
    }
    uint64_t failed = run_seeds(first, count, jobs == 0 ? 1 : jobs);
    fprintf(story, "%" PRIu64 " seeds hold, %" PRIu64 " fail\n", count - failed, failed);
    fclose(story);
    return failed == 0 ? 0 : 1;
}
