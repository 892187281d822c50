#include "tests/unit/support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/checkpoint.h"
#include "lib/cosignature.h"
#include "lib/sys/child.h"
#include "lib/sys/clock.h"
#include "lib/sys/key.h"
#include "lib/sys/signer.h"

enum { LEAVES = 64 };

static char folder[] = "/tmp/stele-signer.XXXXXX";
static char log_key[64], log_heads[64], witness_key[64], witness_heads[64];
static struct hash leaves[LEAVES];

static void make_key(const char *path, const char *name, enum sig_type type, const char *heads)
{
    struct secret_key *key;
    struct why why;
    assert_int_equal(secret_key_new(&key, span_str(name), type, &why), OK);
    assert_int_equal(secret_key_save(key, path, &why), OK);
    assert_int_equal(heads_create(heads, &why), OK);
    secret_key_free(key);
}

static int make_folder(void **state)
{
    struct why why;
    (void)state;
    if (mkdtemp(folder) == NULL || key_system_start(&why) != OK)
        return -1;
    snprintf(log_key, sizeof log_key, "%s/log", folder);
    snprintf(log_heads, sizeof log_heads, "%s/log-heads", folder);
    snprintf(witness_key, sizeof witness_key, "%s/witness", folder);
    snprintf(witness_heads, sizeof witness_heads, "%s/witness-heads", folder);
    make_key(log_key, "log.example", SIG_ED25519, log_heads);
    make_key(witness_key, "witness.example", SIG_COSIGNATURE, witness_heads);
    for (uint64_t i = 0; i < LEAVES; i++)
        leaves[i] = merkle_leaf_hash(span_of(&i, sizeof i));
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "log", "log.pub", "log-heads", "witness", "witness.pub", "witness-heads" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static struct signer *start(bool witness, uint64_t growth_max)
{
    struct signer_config config = { witness ? witness_key : log_key, witness ? witness_heads : log_heads,
                                    witness ? SIG_COSIGNATURE : SIG_ED25519, growth_max };
    struct signer *signer;
    struct why why = { "" };
    if (signer_start(&signer, &config, &why) != OK)
        assert_string_equal(why.text, "");
    return signer;
}

static struct hash root_of(uint64_t size)
{
    struct frontier frontier;
    frontier_start(&frontier);
    for (uint64_t i = 0; i < size; i++)
        frontier_append(&frontier, &leaves[i]);
    return frontier_root(&frontier);
}

static enum err read_nodes(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 0; i < n; i++) {
        struct frontier frontier;
        frontier_start(&frontier);
        for (uint64_t k = nodes[i].index << nodes[i].level; k < (nodes[i].index + 1) << nodes[i].level; k++)
            frontier_append(&frontier, &leaves[k]);
        out[i] = frontier_root(&frontier);
    }
    return OK;
}

/* One request: the head of `size` entries, proven from `old`; `spoil` makes the root another. */
struct asked {
    struct buf text;
    struct hash proof[PROOF_HASHES_MAX];
    struct signer_request request;
};

static void ask(struct asked *out, const char *origin, uint64_t old, uint64_t size, bool spoil)
{
    static const struct hash_reader reader = { read_nodes, NULL };
    struct checkpoint checkpoint = { .origin = span_str(origin), .size = size, .root = root_of(size) };
    struct why why;
    size_t n = 0;
    checkpoint.root.b[0] ^= spoil ? 1 : 0;
    buf_clear(&out->text);
    checkpoint_render(&out->text, &checkpoint);
    if (old <= size)
        assert_int_equal(merkle_consistency_prove(old, size, &reader, out->proof, &n, &why), OK);
    out->request = (struct signer_request){ span_buf(&out->text), old, out->proof, n };
}

static enum head_verdict sign_one(struct signer *signer, const char *origin, uint64_t old, uint64_t size, bool spoil)
{
    struct asked asked = { 0 };
    struct signer_answer answer;
    struct buf line = BUF_EMPTY, note = BUF_EMPTY;
    struct why why = { "" };
    ask(&asked, origin, old, size, spoil);
    if (signer_sign(signer, &asked.request, 1, &answer, &why) != OK)
        assert_string_equal(why.text, "");
    assert_false(answer.clock_behind);
    if (answer.verdict == HEAD_OK) {
        struct note parsed;
        bool verified;
        uint64_t time_s;
        signer_line(&line, signer, &answer);
        buf_fmt(&note, "%.*s\n%.*s", SPAN_FMT(span_buf(&asked.text)), SPAN_FMT(span_buf(&line)));
        assert_int_equal(note_parse(&parsed, span_buf(&note), &why), OK);
        if (signer_key(signer)->type == SIG_ED25519)
            assert_int_equal(note_verify(&parsed, signer_key(signer), 1, &verified, NULL, &why), OK);
        else
            assert_int_equal(cosignature_verify(&parsed, signer_key(signer), 1, &verified, &time_s, &why), OK);
        assert_true(verified);
    }
    buf_free(&asked.text);
    buf_free(&line);
    buf_free(&note);
    return answer.verdict;
}

/* The rule, with its control each: what follows is signed; a fork, a step back, a bad proof, too much growth is not. */
static void the_rule(void **state)
{
    struct signer *signer = start(true, 20);
    (void)state;
    assert_int_equal(sign_one(signer, "a", 0, 5, false), HEAD_OK);
    assert_int_equal(sign_one(signer, "a", 0, 7, false), HEAD_OLD_DIFFERS);
    assert_int_equal(sign_one(signer, "a", 5, 9, true), HEAD_PROOF_BAD);
    assert_int_equal(sign_one(signer, "a", 5, 9, false), HEAD_OK);
    assert_int_equal(sign_one(signer, "a", 9, 9, false), HEAD_OK);
    assert_int_equal(sign_one(signer, "a", 9, 9, true), HEAD_ROOT_DIFFERS);
    assert_int_equal(sign_one(signer, "a", 9, 5, false), HEAD_OLD_ABOVE);
    assert_int_equal(sign_one(signer, "a", 5, 5, false), HEAD_OLD_DIFFERS);
    assert_int_equal(sign_one(signer, "a", 9, 30, false), HEAD_TOO_FAR);
    assert_int_equal(sign_one(signer, "a", 9, 29, false), HEAD_OK);
    assert_int_equal(sign_one(signer, "b", 0, 0, true), HEAD_EMPTY_ROOT);
    assert_int_equal(sign_one(signer, "b", 0, 0, false), HEAD_OK);
    signer_stop(signer);
    /* A restart remembers. */
    signer = start(true, 20);
    assert_int_equal(sign_one(signer, "a", 0, 5, false), HEAD_OLD_DIFFERS);
    assert_int_equal(sign_one(signer, "a", 29, 29, true), HEAD_ROOT_DIFFERS);
    assert_int_equal(sign_one(signer, "a", 29, 30, false), HEAD_OK);
    signer_stop(signer);
}

/* The log's own signer gives its last head again whatever `old` says, and no other of that size. */
static void a_log_finishes_after_a_restart(void **state)
{
    struct signer *signer = start(false, 0);
    struct head_record last;
    struct why why;
    bool found;
    (void)state;
    assert_int_equal(signer_last(signer, span_str("log.example"), &found, &last, &why), OK);
    assert_false(found);
    assert_int_equal(sign_one(signer, "log.example", 0, 12, false), HEAD_OK);
    assert_int_equal(signer_last(signer, span_str("log.example"), &found, &last, &why), OK);
    assert_true(found && last.head.size == 12);
    signer_stop(signer);
    signer = start(false, 0);
    assert_int_equal(sign_one(signer, "log.example", 0, 12, false), HEAD_OK);
    assert_int_equal(sign_one(signer, "log.example", 12, 12, true), HEAD_ROOT_DIFFERS);
    assert_int_equal(sign_one(signer, "log.example", 0, 13, false), HEAD_OLD_DIFFERS);
    assert_int_equal(sign_one(signer, "log.example", 12, 13, false), HEAD_OK);
    signer_stop(signer);
}

/* Two requests for one log in a batch: the second is judged by what the first left. */
static void a_batch_is_judged_in_order(void **state)
{
    struct signer *signer = start(true, 0);
    struct asked asked[4] = { 0 };
    struct signer_request requests[4];
    struct signer_answer answers[4];
    struct why why;
    (void)state;
    ask(&asked[0], "batch", 0, 3, false);
    ask(&asked[1], "batch", 3, 8, false);
    ask(&asked[2], "batch", 3, 6, false);
    ask(&asked[3], "other", 0, 6, false);
    for (size_t i = 0; i < 4; i++)
        requests[i] = asked[i].request;
    assert_int_equal(signer_sign(signer, requests, 4, answers, &why), OK);
    assert_int_equal(answers[0].verdict, HEAD_OK);
    assert_int_equal(answers[1].verdict, HEAD_OK);
    assert_int_equal(answers[2].verdict, HEAD_OLD_DIFFERS);
    assert_int_equal(answers[2].last.size, 8);
    assert_int_equal(answers[3].verdict, HEAD_OK);
    for (size_t i = 0; i < 4; i++)
        buf_free(&asked[i].text);
    signer_stop(signer);
}

/* A time is part of what was said: a clock that is a little behind repeats the last time, far behind signs nothing. */
static void the_clock(void **state)
{
    struct heads *heads;
    struct why why;
    struct asked asked = { 0 };
    struct signer_answer answer;
    uint64_t now_s = clock_posix_s();
    struct head_record records[] = { { sha256_of(span_str("soon")), { 4, root_of(4) }, now_s + 100, false },
                                     { sha256_of(span_str("later")), { 4, root_of(4) }, now_s + 10000, false } };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(heads_open(&heads, witness_heads, &why), OK);
        assert_int_equal(heads_add(heads, &records[i], 1, &why), OK);
        heads_close(heads);
        struct signer *signer = start(true, 0);
        /* The time is the witness's, not the log's: that of another log counts as well. */
        ask(&asked, i == 0 ? "another" : "soon", i == 0 ? 0 : 4, 5, false);
        assert_int_equal(signer_sign(signer, &asked.request, 1, &answer, &why), OK);
        assert_int_equal(answer.verdict, HEAD_OK);
        assert_int_equal(answer.clock_behind, i == 1);
        if (i == 0)
            assert_int_equal(answer.time_s, now_s + 100);
        signer_stop(signer);
    }
    buf_free(&asked.text);
}

/* Restored from a backup: nothing follows on a head, nor on none, until a person said so. */
static void suspended(void **state)
{
    struct heads *heads;
    struct why why;
    struct asked asked = { 0 };
    struct signer_answer answer;
    struct head_record one = { sha256_of(span_str("restored")), { 4, root_of(4) }, 5, false }, last;
    bool found;
    (void)state;
    assert_int_equal(heads_open(&heads, witness_heads, &why), OK);
    assert_int_equal(heads_add(heads, &one, 1, &why), OK);
    assert_int_equal(heads_suspend(heads, &why), OK);
    heads_close(heads);
    struct signer *signer = start(true, 0);
    ask(&asked, "restored", 4, 5, false);
    assert_int_equal(signer_sign(signer, &asked.request, 1, &answer, &why), OK);
    assert_int_equal(answer.verdict, HEAD_SUSPENDED);
    ask(&asked, "never seen", 0, 5, false);
    assert_int_equal(signer_sign(signer, &asked.request, 1, &answer, &why), OK);
    assert_int_equal(answer.verdict, HEAD_SUSPENDED);
    assert_int_equal(signer_last(signer, span_str("restored"), &found, &last, &why), OK);
    assert_true(found && last.suspended && last.head.size == 4);
    signer_stop(signer);
    assert_int_equal(heads_open(&heads, witness_heads, &why), OK);
    assert_int_equal(heads_add(heads, &one, 1, &why), OK);
    heads_close(heads);
    signer = start(true, 0);
    ask(&asked, "restored", 4, 5, false);
    assert_int_equal(signer_sign(signer, &asked.request, 1, &answer, &why), OK);
    assert_int_equal(answer.verdict, HEAD_OK);
    signer_stop(signer);
    buf_free(&asked.text);
}

/* A child that tries what the sandbox forbids. */
static enum err start_nothing(void *ctx, struct buf *hello, struct why *why)
{
    (void)ctx;
    (void)why;
    buf_str(hello, "ready");
    return OK;
}

static enum err try_it(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    (void)ctx;
    (void)why;
    if (span_is(request, "file"))
        buf_fmt(reply, "%d", open("/etc/passwd", O_RDONLY));
    else if (span_is(request, "socket"))
        buf_fmt(reply, "%d", socket(AF_INET, SOCK_STREAM, 0));
    else if (span_is(request, "process"))
        buf_fmt(reply, "%d", (int)fork());
    else
        buf_span(reply, request);
    return OK;
}

static void the_sandbox(void **state)
{
    static const char *const forbidden[] = { "file", "socket", "process" };
    (void)state;
    if (SANITIZED) {
        printf("# SKIPPED: the sandbox is left out under AddressSanitizer\n");
        skip();
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        struct child_role role = { "test child", start_nothing, try_it, NULL, NULL };
        struct child *child;
        struct buf hello = BUF_EMPTY, reply = BUF_EMPTY;
        struct why why;
        assert_int_equal(child_start(&child, &role, &hello, &why), OK);
        assert_true(span_is(span_buf(&hello), "ready"));
        assert_int_equal(child_call(child, span_str("echo"), &reply, &why), OK);
        assert_true(span_is(span_buf(&reply), "echo"));
        assert_int_equal(child_call(child, span_str(forbidden[i]), &reply, &why), ERR_ENV);
        assert_int_equal(child_call(child, span_str("echo"), &reply, &why), ERR_ENV);
        child_stop(child);
        buf_free(&hello);
        buf_free(&reply);
    }
}

static void missing_files(void **state)
{
    struct signer_config config = { log_key, "/nonexistent/heads", SIG_ED25519, 0 };
    struct signer *signer;
    struct why why;
    (void)state;
    assert_int_equal(signer_start(&signer, &config, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "/nonexistent/heads"));
    config = (struct signer_config){ witness_key, witness_heads, SIG_ED25519, 0 };
    assert_int_equal(signer_start(&signer, &config, &why), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test(a_log_finishes_after_a_restart),
        cmocka_unit_test(a_batch_is_judged_in_order),
        cmocka_unit_test(the_clock),
        cmocka_unit_test(suspended),
        cmocka_unit_test(the_sandbox),
        cmocka_unit_test(missing_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
