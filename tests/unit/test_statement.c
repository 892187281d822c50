#define _GNU_SOURCE /* memmem */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/statement.h"

enum { MANY = 3000 };

static struct hash hash_of(const char *text)
{
    return sha256_of(span_str(text));
}

/* Store paths that sort by their number. */
static char *path_of(size_t i, const char *name)
{
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "/nix/store/%032zu-%s", i, name);
    buf_byte(&path, '\0');
    return (char *)path.data;
}

struct made {
    struct statement statement;
    struct subject subject;
    struct span output, *references;
    struct input *inputs;
    char **strings;
    size_t strings_n;
};

/* A statement with so many inputs and references. */
static void make(struct made *made, size_t inputs_n, size_t references_n)
{
    memset(made, 0, sizeof *made);
    made->strings = calloc(2 * inputs_n + references_n + 1, sizeof *made->strings);
    made->inputs = calloc(inputs_n + 1, sizeof *made->inputs);
    made->references = calloc(references_n + 1, sizeof *made->references);
    for (size_t i = 0; i < inputs_n; i++) {
        char *path = made->strings[made->strings_n++] = path_of(i, "input");
        char *drv = made->strings[made->strings_n++] = path_of(i, "input.drv");
        enum input_kind kind = (enum input_kind)(i % 3);
        made->inputs[i] = (struct input){ .path = span_str(path), .nar_hash = hash_of(path), .kind = kind };
        if (kind != INPUT_SOURCE)
            made->inputs[i].derivation = span_str(drv);
    }
    for (size_t i = 0; i < references_n; i++) {
        char *path = made->strings[made->strings_n++] = path_of(i, "reference");
        made->references[i] = span_str(path + strlen("/nix/store/"));
    }
    made->output = span_str("out");
    made->subject = (struct subject){ .path = span_str("/nix/store/00000000000000000000000000000000-hello"),
                                      .nar_hash = hash_of("nar"),
                                      .output = made->output,
                                      .nar_size = 123,
                                      .references = made->references,
                                      .references_n = references_n };
    made->statement = (struct statement){
        .subjects = &made->subject,
        .subjects_n = 1,
        .derivation = span_str("/nix/store/11111111111111111111111111111111-hello.drv"),
        .outputs = &made->output,
        .outputs_n = 1,
        .claim = CLAIM_BUILD,
        .system = span_str("x86_64-linux"),
        .store_dir = span_str("/nix/store"),
        .inputs_recorded = true,
        .closure = hash_of("closure"),
        .inputs = made->inputs,
        .inputs_n = inputs_n,
        .key_name = span_str("ci.example/builder"),
        .stele_version = span_str("0.1.0"),
    };
}

static void unmake(struct made *made)
{
    for (size_t i = 0; i < made->strings_n; i++)
        free(made->strings[i]);
    free(made->strings);
    free(made->inputs);
    free(made->references);
}

static void render(const struct made *made, struct buf *payload, struct buf *list)
{
    struct why why = { "" };
    if (statement_render(payload, &made->statement, list, &why) != OK)
        assert_string_equal(why.text, "");
    assert_true(payload->len <= envelope_payload_max(made->statement.key_name));
}

static void must_parse(struct span payload, struct statement *out)
{
    struct why why = { "" };
    if (statement_parse(out, payload, &why) != OK)
        assert_string_equal(why.text, "");
    if (out->foreign)
        assert_string_equal(out->why_foreign.text, "");
}

static void comes_back(void **state)
{
    struct made made;
    struct buf payload = BUF_EMPTY, again = BUF_EMPTY, list = BUF_EMPTY;
    struct statement parsed;
    struct why why;
    (void)state;
    make(&made, 7, 3);
    made.statement.nix_version = span_str("2.8.0");
    made.statement.source_flake = span_str("github:acme/\"odd\"\\name");
    made.statement.source_attribute = span_str("hello");
    render(&made, &payload, &list);
    assert_int_equal(list.len, 0);
    must_parse(span_buf(&payload), &parsed);
    assert_int_equal(parsed.inputs_n, 7);
    assert_int_equal(parsed.inputs[4].kind, INPUT_FIXED);
    assert_true(span_eq(parsed.source_flake, made.statement.source_flake));
    assert_int_equal(parsed.subjects[0].references_n, 3);
    struct hash digest = references_digest(made.references, 3);
    assert_true(hash_eq(&parsed.subjects[0].references_digest, &digest));
    assert_int_equal(statement_render(&again, &parsed, &list, &why), OK);
    assert_true(span_eq(span_buf(&again), span_buf(&payload)));
    assert_int_equal(statement_check_key(&parsed, span_str("ci.example/builder"), &why), OK);
    assert_int_equal(statement_check_key(&parsed, span_str("other.example"), &why), ERR_MALFORMED);
    statement_free(&parsed);
    buf_free(&payload);
    buf_free(&again);
    buf_free(&list);
    unmake(&made);
}

/* What does not fit is given by digest, inputs first, and never cut. */
static void long_lists(void **state)
{
    struct made made;
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY, again = BUF_EMPTY;
    struct statement parsed;
    struct input *inputs;
    struct why why;
    size_t n;
    (void)state;
    make(&made, MANY, 2);
    render(&made, &payload, &list);
    must_parse(span_buf(&payload), &parsed);
    struct hash digest = sha256_of(span_buf(&list));
    assert_true(parsed.has_input_list && hash_eq(&parsed.input_list, &digest));
    assert_int_equal(parsed.subjects[0].references_n, 2);
    assert_int_equal(input_list_parse(span_buf(&list), &inputs, &n, &why), OK);
    assert_int_equal(n, MANY);
    input_list_render(&again, inputs, n);
    assert_true(span_eq(span_buf(&again), span_buf(&list)));
    free(inputs);
    statement_free(&parsed);
    unmake(&made);
    buf_clear(&payload);
    buf_clear(&list);

    make(&made, 2, MANY);
    render(&made, &payload, &list);
    must_parse(span_buf(&payload), &parsed);
    digest = references_digest(made.references, MANY);
    assert_null(parsed.subjects[0].references);
    assert_true(hash_eq(&parsed.subjects[0].references_digest, &digest));
    /* The statement parsed renders to itself, although the names are not known any more. */
    buf_clear(&again);
    assert_int_equal(statement_render(&again, &parsed, &list, &why), OK);
    statement_free(&parsed);
    buf_free(&payload);
    buf_free(&list);
    buf_free(&again);
    unmake(&made);
}

/* A list of 2 MiB is a list; of a longer one the reason says how it gets shorter. */
static void longest_list(void **state)
{
    enum { ABOUT_THE_MOST = 12000 };
    struct made made;
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY;
    struct why why;
    (void)state;
    make(&made, ABOUT_THE_MOST, 0);
    render(&made, &payload, &list);
    size_t room = INPUT_LIST_BYTES_MAX - list.len;
    unmake(&made);
    buf_clear(&payload);
    buf_clear(&list);
    make(&made, ABOUT_THE_MOST + 1, 0);
    made.inputs[ABOUT_THE_MOST].kind = INPUT_SOURCE;
    char *longer = malloc(room + 1);
    assert_non_null(longer);
    for (size_t over = 0; over < 2; over++) {
        const char *rest = " 0000000000000000000000000000000000000000000000000000000000000000 source\n";
        size_t len = room + over - strlen(rest);
        memset(longer, 'x', len);
        memcpy(longer, made.strings[0], 43);
        made.inputs[ABOUT_THE_MOST].path = span_of((uint8_t *)longer, len);
        buf_clear(&payload);
        buf_clear(&list);
        assert_int_equal(statement_render(&payload, &made.statement, &list, &why), over == 0 ? OK : ERR_MALFORMED);
        assert_int_equal(list.len, INPUT_LIST_BYTES_MAX + over);
    }
    assert_non_null(strstr(why.text, "its 12001 direct inputs has 2097153 bytes, more than 2097152: a derivation in between"));
    free(longer);
    buf_free(&payload);
    buf_free(&list);
    unmake(&made);
}

/* `from` is replaced by `to`, once; the reason why the result does not count (or is malformed) must hold `reason`. */
static void changed(const struct buf *payload, const char *from, const char *to, bool malformed, const char *reason)
{
    struct buf text = BUF_EMPTY;
    struct statement parsed;
    struct why why = { "" };
    const char *at = memmem(payload->data, payload->len, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)((const uint8_t *)at - payload->data);
    buf_add(&text, payload->data, before);
    buf_str(&text, to);
    buf_add(&text, at + strlen(from), payload->len - before - strlen(from));
    enum err err = statement_parse(&parsed, span_buf(&text), &why);
    if (malformed) {
        assert_int_equal(err, ERR_MALFORMED);
    } else {
        if (err != OK)
            assert_string_equal(why.text, "");
        assert_true(parsed.foreign);
        why = parsed.why_foreign;
        statement_free(&parsed);
    }
    if (strstr(why.text, reason) == NULL)
        assert_string_equal(why.text, reason);
    buf_free(&text);
}

static void what_does_not_count(void **state)
{
    struct made made;
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY;
    struct statement parsed;
    (void)state;
    make(&made, 3, 2);
    render(&made, &payload, &list);
    must_parse(span_buf(&payload), &parsed); /* the control of all that follows */
    statement_free(&parsed);
    changed(&payload, "Statement/v1", "Statement/v2", true, "_type");
    changed(&payload, "\"sha256\":", "\"sha512\":", true, "no subject");
    changed(&payload, "{\"_type\"", "{\"_type\":\"x\",\"_type\"", true, "duplicate");
    changed(&payload, "provenance/v1", "provenance/v2", false, "buildType");
    changed(&payload, "urn:stele:nix-build:v1", "urn:stele:nix-build:v2", false, "buildType");
    changed(&payload, "\"claim\":\"build\"", "\"claim\":\"guess\"", false, "claim");
    changed(&payload, "\"claim\":\"build\"", "\"claim\":\"backfill\"", false, "builder.id");
    changed(&payload, "https://ci.example/builder", "https://ci.example/builder/backfill", false, "builder.id");
    changed(&payload, "https://ci.example/builder", "ci.example/builder", false, "builder.id");
    changed(&payload, "\"narSize\":123", "\"narSize\":123.0", false, "narSize");
    changed(&payload, "\"narSize\":123", "\"narSize\":0", false, "narSize");
    changed(&payload, "application/x-nix-nar", "text/plain", false, "mediaType");
    changed(&payload, "\"output\":\"out\"", "\"output\":\"dev\"", false, "outputs");
    changed(&payload, "\"storeDir\":\"/nix/store\"", "\"storeDir\":\"/other/store\"", false, "input");
    changed(&payload, "-hello.drv\"", "-hello\"", false, ".drv");
    changed(&payload, "\"kind\":\"source\"", "\"kind\":\"output\"", false, "kind");
    changed(&payload, "\"kind\":\"fixed\"", "\"kind\":\"other\"", false, "kind");
    changed(&payload, "\"closure\":\"", "\"closure\":\"00", false, "closure");
    changed(&payload, "00000000000000000000000000000001-reference", "00000000000000000000000000000000-reference", false,
            "references");
    changed(&payload, "\"system\":\"x86_64-linux\"", "\"system\":\"\"", false, "system");
    changed(&payload, "resolvedDependencies", "otherDependencies", false, "resolvedDependencies");
    buf_free(&payload);
    buf_free(&list);
    unmake(&made);
}

static void optional_members(void **state)
{
    struct made made;
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY;
    struct statement parsed;
    (void)state;
    make(&made, 0, 0);
    made.statement.inputs_recorded = false;
    render(&made, &payload, &list);
    must_parse(span_buf(&payload), &parsed);
    assert_false(parsed.inputs_recorded);
    assert_int_equal(parsed.subjects[0].references_n, 0);
    assert_non_null(parsed.subjects[0].references);
    statement_free(&parsed);
    made.statement.sandbox = span_str("relaxed");
    buf_clear(&payload);
    render(&made, &payload, &list);
    must_parse(span_buf(&payload), &parsed);
    assert_true(span_is(parsed.sandbox, "relaxed"));
    statement_free(&parsed);
    changed(&payload, "\"sandbox\":\"relaxed\"", "\"sandbox\":\"loose\"", false, "sandbox");
    changed(&payload, "\"sandbox\":\"relaxed\"", "\"sandbox\":true", false, "sandbox");
    changed(&payload, "\"inputs\":\"unrecorded\"", "\"inputs\":\"unknown\"", false, "unrecorded");
    buf_free(&payload);
    buf_free(&list);
    unmake(&made);
}

/* Others' provenance is taken as it is, shown, and never counted. */
static void foreign_statements(void **state)
{
    static const char text[] =
        "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"hello\",\"uri\":\"/nix/store/"
        "00000000000000000000000000000000-hello\",\"digest\":{\"sha256\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}}],\"predicateType\":\"x\",\"predicate\":"
        "{\"buildDefinition\":{\"buildType\":\"urn:stele:nix-build:v1\"}}}"; /* what else it may mean by that */
    struct statement parsed;
    struct why why;
    (void)state;
    assert_int_equal(statement_parse(&parsed, span_str(text), &why), OK);
    assert_true(parsed.foreign);
    assert_int_equal(parsed.subjects_n, 1);
    assert_true(span_is(parsed.subjects[0].path, "/nix/store/00000000000000000000000000000000-hello"));
    assert_int_equal(statement_check_key(&parsed, span_str("any.example"), &why), OK);
    statement_free(&parsed);
}

static void hostile_json(void **state)
{
    static const char *const texts[] = { "",
                                         "{",
                                         "[]",
                                         "null",
                                         "{\"_type\":1}",
                                         "{\"_type\":\"https://in-toto.io/Statement/v1\"}",
                                         "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":{}}",
                                         "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[1,null,[],{}]}" };
    struct statement parsed;
    struct buf deep = BUF_EMPTY;
    struct why why;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(statement_parse(&parsed, span_str(texts[i]), &why), ERR_MALFORMED);
    for (int i = 0; i < 5000; i++)
        buf_byte(&deep, '[');
    assert_int_equal(statement_parse(&parsed, span_buf(&deep), &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "nested"));
    buf_free(&deep);
}

/* The largest payload makes an envelope of at most ENTRY_BYTES_MAX, and three bytes more would not. */
static void the_bound_is_tight(void **state)
{
    struct span name = span_str("ci.example/builder");
    struct vkey key = vkey_make(name, SIG_ED25519, (const uint8_t[32]){ 1 });
    struct buf payload = BUF_EMPTY, entry = BUF_EMPTY;
    const uint8_t sig[64] = { 0 };
    (void)state;
    size_t max = envelope_payload_max(name);
    memset(buf_grow(&payload, max + 3), 'x', max + 3);
    envelope_render(&entry, span_cut(span_buf(&payload), 0, max), &key, sig);
    assert_true(entry.len <= ENTRY_BYTES_MAX);
    buf_clear(&entry);
    envelope_render(&entry, span_buf(&payload), &key, sig);
    assert_true(entry.len > ENTRY_BYTES_MAX);
    buf_free(&payload);
    buf_free(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),         cmocka_unit_test(long_lists),         cmocka_unit_test(what_does_not_count),
        cmocka_unit_test(optional_members),   cmocka_unit_test(foreign_statements), cmocka_unit_test(hostile_json),
        cmocka_unit_test(the_bound_is_tight), cmocka_unit_test(longest_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
