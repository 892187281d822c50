/* The prover: what it hands on of logs that fork, and of answers in which something is malformed. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/memory.h"
#include "client/prove.h"
#include "lib/sys/file.h"
#include "tests/attestation.h"
#include "tests/memory_log.h"
#include "tests/must.h"

enum { ENTRIES = 40, TAKEN_MAX = 64 };

/* A log, what it signed besides, and another log under the same witnesses. */
static struct secret_key *builder;
static struct buf entries[ENTRIES], other_entries[ENTRIES];
static struct memory_log honest, forked, other;
static char scratch[] = "/tmp/stele-prove.XXXXXX";
static struct client_config config;

static int set_up(void **state)
{
    struct why why;
    char *policy_file;
    (void)state;
    must(key_system_start(&why), &why);
    builder = new_key("ci.example/builder", SIG_ED25519);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        must(test_attestation(&entries[i], builder, i, 1, &why), &why);
        must(test_attestation(&other_entries[i], builder, i, 2, &why), &why);
        entries[i].len--; /* the line's newline is not the entry's */
        other_entries[i].len--;
    }
    memory_log_make(&honest, entries, ENTRIES);
    memory_log_make_beside(&forked, &honest, NULL, other_entries, ENTRIES);
    memory_log_make_beside(&other, &honest, "other.example/log", other_entries, ENTRIES);
    assert_non_null(mkdtemp(scratch));
    assert_non_null(policy_file = path_join(scratch, "policy"));
    must(file_create(policy_file, 0600, span_buf(&other.policy_text), &why), &why);
    config.policy_file = policy_file;
    return 0;
}

static int tear_down(void **state)
{
    char command[64];
    (void)state;
    for (size_t i = 0; i < ENTRIES; i++) {
        buf_free(&entries[i]);
        buf_free(&other_entries[i]);
    }
    memory_log_free(&other);
    memory_log_free(&forked);
    memory_log_free(&honest);
    secret_key_free(builder);
    free(config.policy_file);
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command);
}

/* A memory of heads that has seen nothing. */
static void forget(void)
{
    static unsigned n;
    char name[16];
    snprintf(name, sizeof name, "state-%u", n++);
    free(config.state);
    assert_non_null(config.state = path_join(scratch, name));
    assert_int_equal(dir_make(config.state, 0700, NULL), OK);
}

/* What a prover handed on, in order. */
struct taken {
    size_t n, proven;
    struct {
        bool proven;
        uint64_t index;
        char origin[32], source[32];
        struct why why_not;
    } items[TAKEN_MAX];
    bool forked; /* the log that forks, in the end */
};

static enum err take(void *ctx, const struct evidence_item *item, struct why *why)
{
    struct taken *taken = ctx;
    (void)why;
    assert_true(taken->n < TAKEN_MAX);
    taken->proven += item->proven;
    taken->items[taken->n].proven = item->proven;
    taken->items[taken->n].index = item->index;
    taken->items[taken->n].why_not = item->why_not;
    snprintf(taken->items[taken->n].origin, 32, "%s", item->origin == NULL ? "" : item->origin);
    snprintf(taken->items[taken->n++].source, 32, "%s", item->source);
    return OK;
}

/* Answers of logs, one after another, to a prover that has so many threads and, if there is one, that memory. */
static void prove(const struct buf *answers, size_t n, unsigned threads, const struct client_config *memory, struct taken *taken)
{
    struct prover *prover;
    struct prove how = { .policy = &other.policy, .threads = threads, .config = memory, .take = take, .ctx = taken };
    struct why why = { "" };
    *taken = (struct taken){ 0 };
    assert_int_equal(prover_new(&prover, &how, &why), OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(prover_put(prover, span_of(NULL, 0), span_buf(&answers[i]), "a log", &why), OK);
    while (prover_busy(prover))
        assert_int_equal(prover_take(prover, true, &why), OK);
    taken->forked = prover_forked(prover, 1);
    assert_false(prover_forked(prover, 0));
    prover_free(prover);
}

static void put(struct buf *out, const struct memory_log *log, uint64_t index)
{
    memory_log_bundle(log, index, out);
}

static void is_refused(const struct taken *taken, size_t i, const char *reason)
{
    assert_true(i < taken->n);
    assert_false(taken->items[i].proven);
    if (strstr(taken->items[i].why_not.text, reason) == NULL)
        assert_string_equal(taken->items[i].why_not.text, reason);
}

/* From the head on that contradicts one that was met before, nothing of that log counts; all of the other log does. */
static void test_forks(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        struct buf answers[3] = { BUF_EMPTY, BUF_EMPTY, BUF_EMPTY };
        struct taken taken;
        forget();
        put(&answers[0], &honest, 0);
        put(&answers[0], &other, 0);
        put(&answers[1], &forked, 1);
        put(&answers[1], &other, 2);
        put(&answers[2], &honest, 3);
        put(&answers[2], &other, 4);
        prove(answers, 3, threads, &config, &taken);
        assert_int_equal(taken.n, 6);
        assert_int_equal(taken.proven, 4);
        assert_true(taken.items[0].proven && taken.items[1].proven && taken.items[3].proven && taken.items[5].proven);
        is_refused(&taken, 2, "FORKED");
        is_refused(&taken, 4, "FORKED");
        assert_string_equal(taken.items[2].source, "a log");
        assert_true(taken.forked); /* which is how what was handed on before is taken back */
        assert_true(memory_forked(&config, span_str(MEMORY_LOG_ORIGIN)));
        assert_false(memory_forked(&config, span_str("other.example/log")));
        /* The next prover believes neither history. */
        prove(answers, 1, threads, &config, &taken);
        assert_int_equal(taken.proven, 1);
        is_refused(&taken, 0, "FORKED");
        /* It is the memory that tells: without one each proof holds by itself. */
        prove(answers, 3, threads, NULL, &taken);
        assert_int_equal(taken.proven, 6);
        for (size_t i = 0; i < 3; i++)
            buf_free(&answers[i]);
    }
}

/* The head was remembered by an earlier run. */
static void test_contradicts_memory(void **state)
{
    struct buf answer = BUF_EMPTY;
    struct taken taken;
    (void)state;
    forget();
    put(&answer, &honest, 0);
    prove(&answer, 1, 1, &config, &taken);
    assert_int_equal(taken.proven, 1);
    buf_clear(&answer);
    put(&answer, &honest, 1);
    prove(&answer, 1, 1, &config, &taken); /* the control: the same head again */
    assert_int_equal(taken.proven, 1);
    assert_false(taken.forked);
    buf_clear(&answer);
    for (uint64_t i = 0; i < 20; i++)
        put(&answer, &forked, i);
    put(&answer, &other, 0);
    prove(&answer, 1, 2, &config, &taken);
    assert_int_equal(taken.n, 21);
    assert_int_equal(taken.proven, 1);
    for (size_t i = 0; i < 20; i++)
        is_refused(&taken, i, "FORKED");
    assert_true(taken.forked);
    buf_free(&answer);
}

/* The same place in another history is looked at, though something there was proven before; under the same head nothing is twice. */
static void test_same_place(void **state)
{
    struct buf answer = BUF_EMPTY;
    struct taken taken;
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        forget();
        buf_clear(&answer);
        for (uint64_t i = 0; i < 17; i++)
            put(&answer, &honest, 0);
        prove(&answer, 1, 1, &config, &taken);
        assert_int_equal(taken.n, 1);
        put(&answer, &forked, 0);
        prove(&answer, 1, threads, &config, &taken);
        assert_true(taken.forked);
        is_refused(&taken, taken.n - 1, "FORKED");
    }
    forget();
    buf_clear(&answer); /* both verified by one thread, one after the other */
    put(&answer, &honest, 0);
    put(&answer, &forked, 0);
    prove(&answer, 1, 1, &config, &taken);
    assert_true(taken.forked);
    assert_int_equal(taken.proven, 0);
    buf_free(&answer);
}

/* A second head that the quorum did not see proves nothing, and takes nothing from the first. */
static void test_unwitnessed(void **state)
{
    struct buf answer = BUF_EMPTY;
    struct taken taken;
    (void)state;
    forget();
    put(&answer, &honest, 0);
    put(&answer, &forked, 1);
    answer.len--;
    while (answer.data[answer.len - 1] != '\n') /* the last witness's line */
        answer.len--;
    put(&answer, &honest, 2);
    prove(&answer, 1, 1, &config, &taken);
    assert_int_equal(taken.n, 3);
    assert_true(taken.items[0].proven && taken.items[2].proven);
    is_refused(&taken, 1, "quorum");
    assert_false(taken.forked);
    assert_false(memory_forked(&config, span_str(MEMORY_LOG_ORIGIN)));
    buf_free(&answer);
}

/* In an answer about many paths one proof is malformed: it is named, and all others count. */
static void test_malformed(void **state)
{
    static const struct {
        const char *from, *to, *reason;
    } cases[] = {
        { "extra ey", "extra !y", "the proof's extra line is not base64" },
        { "\n\n" MEMORY_LOG_ORIGIN "\n40\n", "\n\n" MEMORY_LOG_ORIGIN "\n040\n", "size" },
        { "\nindex 17\n", "\nindex 18\n", "inclusion" },
        { "\nindex 17\n", "\nindex 17\n!\n", "hash 1 of the proof is not the base64 of 32 bytes" },
    };
    (void)state;
    forget();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (unsigned threads = 1; threads <= 4; threads += 3) {
            struct buf answer = BUF_EMPTY, bad = BUF_EMPTY;
            struct taken taken;
            put(&bad, &honest, 17);
            buf_byte(&bad, '\0');
            const char *text = (const char *)bad.data, *at = strstr(text, cases[c].from);
            assert_non_null(at);
            for (uint64_t i = 0; i < ENTRIES; i++)
                if (i == 17)
                    buf_fmt(&answer, "%.*s%s%s", (int)(at - text), text, cases[c].to, at + strlen(cases[c].from));
                else
                    put(&answer, &honest, i);
            prove(&answer, 1, threads, &config, &taken);
            assert_int_equal(taken.n, ENTRIES);
            assert_int_equal(taken.proven, ENTRIES - 1);
            is_refused(&taken, 17, cases[c].reason);
            for (size_t i = 0; i < ENTRIES; i++)
                assert_true(i == 17 || taken.items[i].index == i);
            buf_free(&answer);
            buf_free(&bad);
        }
}

/* What has not even the lines of a proof ends the answer, and is named; what stood before it counts. */
static void test_rubbish(void **state)
{
    struct buf answer = BUF_EMPTY;
    struct taken taken;
    (void)state;
    forget();
    put(&answer, &honest, 0);
    buf_str(&answer, "rubbish\n");
    put(&answer, &honest, 1);
    prove(&answer, 1, 1, &config, &taken);
    assert_int_equal(taken.n, 2);
    assert_true(taken.items[0].proven);
    is_refused(&taken, 1, "line 1 of the proof");
    buf_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forks),       cmocka_unit_test(test_contradicts_memory), cmocka_unit_test(test_same_place),
        cmocka_unit_test(test_unwitnessed), cmocka_unit_test(test_malformed),          cmocka_unit_test(test_rubbish),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
