/* What an answer of a log leaves out: where it is full or cut the rest is asked for, to the end or to a limit; otherwise nobody
 * is. */
#include "tests/unit/support.h"
#include "tests/unit/client_server.h"

#include "client/gather.h"
#include "client/proofs.h"
#include "client/proofs_rest.h"
#include "client/proofs_trim.h"
#include "lib/dsse.h"
#include "lib/proof.h"
#include "lib/storepath.h"
#include "lib/sys/frame.h"
#include "tests/attestation.h"
#include "tests/memory_log.h"
#include "tests/must.h"

/* The log: of path 0 forty attestations by the builder and twenty by the stranger, of path 1 ten by the builder; one of both. */
enum { OURS = 40, THEIRS = 20, OTHERS = 10, ALL = OURS + THEIRS + OTHERS, OF_BOTH = ALL };

static struct secret_key *builder, *stranger;
static struct buf entries[ALL + 1], bundles[ALL + 1], builders, everybody;
static struct memory_log published;
static char parts[2][HASH_PART_LEN + 2];

/* What the server does, and what it was asked. */
static enum { PAGES, ENDLESS, AGAIN, FAILS, FORBIDS, RUBBISH } mode;
static unsigned asked;
static char last_builder[65];
static struct buf many; /* what it answers to POST /outputs, if that is about both */

static void reply(struct http_request *request, unsigned status, struct buf *body)
{
    const struct http_header headers[] = { { "Content-Type", "text/plain" },
                                           { "Stele-Answered", many.len > 0 ? "2" : "1" },
                                           { NULL, NULL } };
    http_reply(request, status, headers, span_buf(body));
    buf_free(body);
}

static void handle(void *ctx, struct http_request *request)
{
    struct buf body = BUF_EMPTY;
    const char *after = http_query(request, "after"), *by = http_query(request, "builder");
    size_t n = 0, from = after == NULL ? 0 : strtoull(after, NULL, 10) + 1;
    (void)ctx;
    asked++;
    if (by == NULL && many.len > 0) {
        buf_span(&body, span_buf(&many));
        reply(request, 200, &body);
        return;
    }
    if (by == NULL) { /* POST /outputs: what an answer holds of the builder, and one of the stranger's */
        for (; n < OUTPUT_ATTESTATIONS_MAX; n++)
            buf_span(&body, span_buf(&bundles[n]));
        buf_span(&body, span_buf(&bundles[OURS]));
        reply(request, 200, &body);
        return;
    }
    snprintf(last_builder, sizeof last_builder, "%s", by);
    if (mode == FAILS || mode == FORBIDS) {
        reply(request, mode == FAILS ? 503 : 403, &body);
        return;
    }
    bool ours = strstr((const char *)everybody.data, by) == (const char *)everybody.data + 8;
    size_t to = mode == ENDLESS ? SIZE_MAX : ours ? OURS : 0;
    for (size_t i = mode == AGAIN ? 0 : from; i < to && n < OUTPUT_ATTESTATIONS_MAX; i++, n++)
        buf_fmt(&body, "c2sp.org/tlog-proof@v1\nindex %zu\n\nlog\n1\n\n\xe2\x80\x94 log x\n", i);
    if (mode == RUBBISH)
        buf_str(&body, "c2sp.org/tlog-proof@v1\nrubbish\n");
    reply(request, n > 0 ? 200 : 404, &body);
}

static void add_line(struct buf *out, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    struct buf text = BUF_EMPTY;
    vkey_render(&text, &vkey);
    struct hash hash = sha256_of(span_buf(&text));
    buf_str(out, "builder ");
    hex_encode(out, span_of(hash.b, sizeof hash.b));
    buf_byte(out, '\n');
    buf_free(&text);
}

/* An attestation of both paths. */
static void attest_both(struct buf *out)
{
    struct buf payload = BUF_EMPTY, pae = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(builder);
    struct why why;
    uint8_t sig[64];
    buf_str(&payload, "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"");
    test_attestation_path(&payload, 0);
    buf_fmt(&payload, "\",\"digest\":{\"sha256\":\"%064d\"}},{\"name\":\"", 0);
    test_attestation_path(&payload, 1);
    buf_fmt(&payload, "\",\"digest\":{\"sha256\":\"%064d\"}}],\"predicateType\":\"x\",\"predicate\":{}}", 1);
    dsse_pae(&pae, span_str("application/vnd.in-toto+json"), span_buf(&payload));
    must(secret_key_sign(builder, span_buf(&pae), sig, &why), &why);
    envelope_render(out, span_buf(&payload), &vkey, sig);
    buf_free(&payload);
    buf_free(&pae);
}

static int set_up(void **state)
{
    struct why why;
    must(key_system_start(&why), &why);
    builder = new_key("ci.example/builder", SIG_ED25519);
    stranger = new_key("stranger.example", SIG_ED25519);
    for (size_t i = 0; i < ALL; i++) {
        const struct secret_key *key = i < OURS || i >= OURS + THEIRS ? builder : stranger;
        must(test_attestation(&entries[i], key, i >= OURS + THEIRS, i + 1, &why), &why);
        entries[i].len--; /* the line's newline is not the entry's */
    }
    attest_both(&entries[OF_BOTH]);
    memory_log_make(&published, entries, ALL + 1);
    for (size_t i = 0; i < ALL + 1; i++)
        memory_log_bundle(&published, i, &bundles[i]);
    for (uint64_t i = 0; i < 2; i++) {
        struct storepath path;
        struct buf text = BUF_EMPTY;
        test_attestation_path(&text, i);
        must(storepath_parse(&path, span_buf(&text), &why), &why);
        snprintf(parts[i], sizeof parts[i], "%.*s\n", SPAN_FMT(path.hash_part));
        buf_free(&text);
    }
    add_line(&builders, builder);
    add_line(&everybody, builder);
    add_line(&everybody, stranger);
    buf_byte(&everybody, '\0');
    everybody.len--;
    return server_setup(state);
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < ALL + 1; i++) {
        buf_free(&entries[i]);
        buf_free(&bundles[i]);
    }
    memory_log_free(&published);
    buf_free(&builders);
    buf_free(&everybody);
    buf_free(&many);
    secret_key_free(builder);
    secret_key_free(stranger);
    return server_teardown(state);
}

/* `answer`, to a question about these hash parts, and all that it left out of what `by` attested; how many proofs there are
 * then. ERR_ENV where something is missing. */
static enum err rest(const char *about, struct span by, struct buf *answer, size_t *n, struct why *why)
{
    struct http_client *client;
    struct proof_outline outline;
    struct buf missing = BUF_EMPTY;
    asked = 0;
    last_builder[0] = '\0';
    must(http_client_new(&client, &(struct http_client_config){ 0 }, why), why);
    enum err err = proofs_rest(client, span_str(at("")), by, span_str(about), answer, &missing, why);
    if (err == OK && missing.len > 0)
        err = fail(why, ERR_ENV, "%.*s", SPAN_FMT(span_buf(&missing)));
    struct span left = span_buf(answer);
    for (*n = 0; proof_outline_next(&outline, &left); ++*n)
        continue;
    http_client_free(client);
    buf_free(&missing);
    return err;
}

/* The bundles of entries `from` to before `to`, each so many times. */
static void put(struct buf *answer, size_t from, size_t to, size_t times)
{
    for (size_t i = from; i < to; i++)
        for (size_t n = 0; n < times; n++)
            buf_span(answer, span_buf(&bundles[i]));
}

/* The answer of these entries is whole: nothing more is asked. */
static void is_whole(const char *about, struct span by, size_t from, size_t to)
{
    struct buf answer = BUF_EMPTY;
    struct why why;
    size_t n;
    mode = PAGES;
    put(&answer, from, to, 1);
    assert_int_equal(rest(about, by, &answer, &n, &why), OK);
    assert_int_equal(asked, 0);
    assert_int_equal(n, to - from);
    buf_free(&answer);
}

static void test_whole(void **state)
{
    (void)state;
    is_whole(parts[0], span_buf(&builders), 0, 0);
    is_whole(parts[0], span_buf(&builders), 0, OUTPUT_ATTESTATIONS_MAX - 1);
    is_whole(parts[0], span_str(""), 0, OUTPUT_ATTESTATIONS_MAX);                  /* nobody's are wanted */
    is_whole(parts[1], span_buf(&builders), 0, OUTPUT_ATTESTATIONS_MAX);           /* nor of this path */
    is_whole(parts[0], span_buf(&builders), OURS, OURS + OUTPUT_ATTESTATIONS_MAX); /* nor the stranger's */
    is_whole(parts[1], span_buf(&everybody), OURS + THEIRS - 10, ALL);             /* ten each, of two builders and paths */
}

static void test_full(void **state)
{
    struct buf answer = BUF_EMPTY, both = BUF_EMPTY;
    struct why why;
    size_t n;
    (void)state;
    mode = PAGES;
    put(&answer, 0, OUTPUT_ATTESTATIONS_MAX, 1);
    assert_int_equal(rest(parts[0], span_buf(&builders), &answer, &n, &why), OK);
    assert_int_equal(asked, 3);
    assert_int_equal(n, OUTPUT_ATTESTATIONS_MAX + OURS);
    buf_clear(&answer); /* among others, before and after */
    put(&answer, OURS, OURS + 10, 1);
    put(&answer, 0, OUTPUT_ATTESTATIONS_MAX, 1);
    put(&answer, OURS + THEIRS, ALL, 1);
    buf_fmt(&both, "%s%s", parts[0], parts[1]);
    buf_byte(&both, '\0');
    assert_int_equal(rest((const char *)both.data, span_buf(&everybody), &answer, &n, &why), OK);
    assert_int_equal(asked, 3);
    assert_memory_equal(last_builder, builders.data + 8, 64);
    buf_clear(&answer); /* the stranger has sixteen, and no more */
    put(&answer, OURS, OURS + OUTPUT_ATTESTATIONS_MAX, 1);
    assert_int_equal(rest(parts[0], span_buf(&everybody), &answer, &n, &why), OK);
    assert_int_equal(asked, 1);
    assert_int_equal(n, OUTPUT_ATTESTATIONS_MAX);
    buf_clear(&answer); /* of anybody: both have sixteen, the builder has more */
    put(&answer, 0, OUTPUT_ATTESTATIONS_MAX, 1);
    put(&answer, OURS, OURS + OUTPUT_ATTESTATIONS_MAX, 1);
    assert_int_equal(rest(parts[0], PROOFS_OF_ANYBODY, &answer, &n, &why), OK);
    assert_int_equal(asked, 4);
    assert_int_equal(n, 2 * OUTPUT_ATTESTATIONS_MAX + OURS);
    buf_free(&answer);
    buf_free(&both);
}

/* An answer that was cut may have left out anybody. */
static void test_cut(void **state)
{
    struct buf answer = BUF_EMPTY;
    struct why why;
    size_t n;
    (void)state;
    mode = PAGES;
    put(&answer, 0, 1, LOOKUP_ENTRIES_MAX - 1);
    assert_int_equal(rest(parts[0], span_buf(&builders), &answer, &n, &why), OK);
    assert_int_equal(asked, 0);
    put(&answer, 0, 1, 1);
    assert_int_equal(rest(parts[0], span_buf(&builders), &answer, &n, &why), OK);
    assert_int_equal(asked, 3);
    assert_int_equal(n, LOOKUP_ENTRIES_MAX + OURS);
    buf_clear(&answer);
    while (answer.len < BUNDLES_BYTES_MAX - PROOF_BYTES_MAX)
        put(&answer, ALL - 1, ALL, 1);
    size_t before = answer.len / bundles[ALL - 1].len;
    assert_true(before < LOOKUP_ENTRIES_MAX);
    assert_int_equal(rest(parts[0], span_buf(&builders), &answer, &n, &why), OK);
    assert_int_equal(asked, 3);
    assert_int_equal(n, before + OURS);
    buf_free(&answer);
}

/* Where the rest cannot be had, there is no answer. */
static void test_incomplete(void **state)
{
    const struct {
        int mode;
        const char *reason;
        unsigned asked;
    } cases[] = { { ENDLESS, "not complete: more than 1024 attestations", 65 },
                  { AGAIN, "gave what was not asked for", 2 },
                  { FAILS, "answered with status 503", 1 },
                  { FORBIDS, "answered with status 403", 1 },
                  { RUBBISH, "proof 17 of its answer does not parse", 1 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf answer = BUF_EMPTY;
        struct why why = { "" };
        size_t n;
        mode = cases[i].mode;
        put(&answer, 0, OUTPUT_ATTESTATIONS_MAX, 1);
        assert_int_equal(rest(parts[0], span_buf(&builders), &answer, &n, &why), ERR_ENV);
        if (strstr(why.text, cases[i].reason) == NULL)
            print_error("%s\n", why.text);
        assert_non_null(strstr(why.text, cases[i].reason));
        assert_int_equal(asked, cases[i].asked);
        assert_memory_equal(why.text, parts[0], HASH_PART_LEN);
        assert_int_equal(n, 0);
        buf_free(&answer);
    }
}

/* What is taken of a look-up of both paths, and what is missing. */
struct taken {
    char parts[128];
    struct buf bundles, missed;
    struct why why;
};

static enum err take_one(void *ctx, struct span hash_parts, struct span answer, struct why *why)
{
    struct taken *taken = ctx;
    snprintf(taken->parts, sizeof taken->parts, "%.*s", SPAN_FMT(hash_parts));
    buf_span(&taken->bundles, answer);
    return buf_done(&taken->bundles, why);
}

static void miss_one(void *ctx, struct span hash_part, const struct why *why)
{
    struct taken *taken = ctx;
    buf_fmt(&taken->missed, "%.*s\n", SPAN_FMT(hash_part));
    taken->why = *why;
}

/* A path of which not all can be had takes no other with it; what is about it alone is not taken. */
static void test_of_many(void **state)
{
    char *url = span_dup_str(span_str(at(""))), both[128];
    struct client_config config = { .log_url = url };
    struct policy policy = { .logs_n = 1 };
    struct taken taken = { 0 };
    struct http_client *client;
    struct buf wanted = BUF_EMPTY;
    struct why why = { "" };
    (void)state;
    must(http_client_new(&client, &(struct http_client_config){ 0 }, &why), &why);
    snprintf(both, sizeof both, "%s%s", parts[0], parts[1]);
    const struct proofs_asked of_both = { span_str(both), span_buf(&builders), false };
    put(&many, 0, OUTPUT_ATTESTATIONS_MAX, 1); /* full */
    put(&wanted, OF_BOTH, OF_BOTH + 1, 1);
    put(&wanted, OURS + THEIRS, ALL, 1);
    buf_span(&many, span_buf(&wanted));
    put(&many, OURS, OURS + 1, 1); /* and a stranger's */
    for (mode = ENDLESS; mode <= RUBBISH; mode++) {
        struct proofs_taker taker = { take_one, miss_one, &taken };
        buf_clear(&taken.missed);
        buf_clear(&taken.bundles);
        assert_int_equal(proofs_log_many(client, &config, &policy, 0, &of_both, &taker, &why), OK);
        assert_string_equal(taken.parts, parts[1]);
        assert_true(span_eq(span_buf(&taken.bundles), span_buf(&wanted)));
        assert_true(span_is(span_buf(&taken.missed), parts[0]));
        taker.missed = NULL; /* nobody is told */
        buf_clear(&taken.bundles);
        assert_int_equal(proofs_log_many(client, &config, &policy, 0, &of_both, &taker, &why), ERR_ENV);
        assert_string_equal(why.text, taken.why.text);
        assert_true(span_eq(span_buf(&taken.bundles), span_buf(&wanted)));
    }
    buf_clear(&many);
    http_client_free(client);
    buf_free(&taken.bundles);
    buf_free(&taken.missed);
    buf_free(&wanted);
    free(url);
}

static enum err take_answer(void *ctx, struct span hash_parts, struct span answer, struct why *why)
{
    struct proof_outline outline;
    (void)hash_parts;
    (void)why;
    for (size_t *n = ctx; proof_outline_next(&outline, &answer); ++*n)
        continue;
    return OK;
}

/* Where anybody's are wanted, what one builder has too much of does not keep away the others'. */
static void test_anybody(void **state)
{
    char *url = span_dup_str(span_str(at("")));
    struct client_config config = { .log_url = url };
    struct policy policy = { .logs_n = 1 };
    struct proofs_asked of_anybody = { span_str(parts[0]), PROOFS_OF_ANYBODY, false },
                        of_builders = { span_str(parts[0]), span_buf(&builders), false };
    struct http_client *client;
    struct why why;
    size_t n = 0;
    struct proofs_taker taker = { take_answer, NULL, &n };
    (void)state;
    must(http_client_new(&client, &(struct http_client_config){ 0 }, &why), &why);
    mode = PAGES;
    assert_int_equal(proofs_log_many(client, &config, &policy, 0, &of_anybody, &taker, &why), OK);
    assert_int_equal(n, OUTPUT_ATTESTATIONS_MAX + 1 + OURS);
    mode = ENDLESS;
    n = 0;
    assert_int_equal(proofs_log_many(client, &config, &policy, 0, &of_anybody, &taker, &why), OK);
    assert_true(n > OUTPUT_ATTESTATIONS_MAX);
    n = 0;
    assert_int_equal(proofs_log_many(client, &config, &policy, 0, &of_builders, &taker, &why), ERR_ENV);
    assert_int_equal(n, 0);
    http_client_free(client);
    free(url);
}

/* How many proofs of an answer by both, the stranger's first, are left in so many bytes: the builder's, and all. */
static size_t trimmed(size_t bytes_max, size_t *ours)
{
    struct buf answer = BUF_EMPTY;
    struct proof_outline outline;
    struct why why;
    size_t all = 0;
    put(&answer, OURS, OURS + THEIRS, 1);
    put(&answer, 0, 4, 1);
    assert_int_equal(proofs_trim(&answer, span_buf(&builders), bytes_max, &why), OK);
    *ours = 0;
    for (struct span rest = span_buf(&answer); proof_outline_next(&outline, &rest); all++)
        for (size_t i = 0; i < 4; i++)
            *ours += span_eq(outline.text, span_buf(&bundles[i]));
    buf_free(&answer);
    return all;
}

/* What strangers say takes no room from a builder. */
static void test_trim(void **state)
{
    size_t ours, both = 0; /* the builder's four, and three of the stranger's */
    (void)state;
    for (size_t i = 0; i < 4; i++)
        both += bundles[i].len;
    for (size_t i = OURS; i < OURS + 3; i++)
        both += bundles[i].len;
    assert_int_equal(trimmed(SIZE_MAX, &ours), THEIRS + 4);
    assert_int_equal(ours, 4);
    assert_int_equal(trimmed(both, &ours), 7);
    assert_int_equal(ours, 4);
    assert_int_equal(trimmed(1, &ours), 4);
    assert_int_equal(ours, 4);
}

/* Strangers fill what is asked of each log: the question to the gate's signer must still fit into a frame. */
static void test_room(void **state)
{
    (void)state;
    assert_int_equal(proofs_room(1), GATHER_SOURCE_BYTES_MAX);
    for (size_t logs = 0; logs <= 2 * GATHER_SOURCES_MAX; logs++) {
        size_t n = logs < GATHER_SOURCES_MAX - 2 ? logs : GATHER_SOURCES_MAX - 2;
        assert_true(NARINFO_BYTES_MAX + 2 * GATHER_SOURCE_BYTES_MAX + n * proofs_room(logs) < FRAME_BYTES_MAX);
        assert_true(proofs_room(logs) > ENTRY_BYTES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),      cmocka_unit_test(test_full),    cmocka_unit_test(test_cut),
        cmocka_unit_test(test_incomplete), cmocka_unit_test(test_of_many), cmocka_unit_test(test_anybody),
        cmocka_unit_test(test_trim),       cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
