/* The examples of spec/ are what the code makes and takes. Runs from the top folder. */
#include "tests/unit/support.h"

#include <stdio.h>

#include "lib/dsse.h"
#include "lib/statement.h"
#include "lib/trust.h"

/* Fenced block number n of a page, without its fences. */
static struct span fenced(const struct buf *page, const char *kind, unsigned n)
{
    struct span rest = span_buf(page), line;
    char fence[32];
    snprintf(fence, sizeof fence, "```%s", kind);
    while (span_line(&rest, &line)) {
        if (!span_is(line, fence))
            continue;
        struct span block = rest;
        while (span_line(&rest, &line) && !span_is(line, "```"))
            block.len = (size_t)(rest.data - block.data);
        if (n-- == 0)
            return block;
    }
    assert_non_null(NULL);
    return rest;
}

static void read_page(const char *name, struct buf *out)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    uint8_t chunk[4096];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(out, chunk, len);
    fclose(file);
}

static void attestation(void **state)
{
    struct buf page = BUF_EMPTY, storage = BUF_EMPTY, again = BUF_EMPTY, list = BUF_EMPTY, entry = BUF_EMPTY;
    struct span payload, text;
    struct envelope envelope;
    struct statement statement;
    struct why why;
    (void)state;
    read_page("spec/attestation.md", &page);
    payload = fenced(&page, "json", 0);
    text = fenced(&page, "json", 1);
    payload.len--; /* the newline before the fence */
    text.len--;
    assert_int_equal(envelope_parse(&envelope, text, &storage, &why), OK);
    assert_int_equal(envelope_verify(&envelope, &why), OK);
    assert_true(span_eq(envelope.payload, payload));
    assert_int_equal(statement_parse(&statement, payload, &why), OK);
    assert_false(statement.foreign);
    assert_int_equal(statement_check_key(&statement, envelope.key.name, &why), OK);
    assert_int_equal(statement_render(&again, &statement, &list, &why), OK);
    assert_true(span_eq(span_buf(&again), payload));
    assert_int_equal(list.len, 0);
    envelope_render(&entry, payload, &envelope.key, envelope.sig);
    assert_true(span_eq(span_buf(&entry), text));
    statement_free(&statement);
    buf_free(&page);
    buf_free(&storage);
    buf_free(&again);
    buf_free(&list);
    buf_free(&entry);
}

static void trust_file(void **state)
{
    struct buf page = BUF_EMPTY;
    struct trust trust;
    struct why why = { "" };
    (void)state;
    read_page("spec/trust.md", &page);
    if (trust_parse(&trust, fenced(&page, "trust", 0), "example", &why) != OK)
        assert_string_equal(why.text, "");
    assert_int_equal(trust.parties_n, 2);
    assert_int_equal(trust.quorum.nodes[trust_quorum_for(&trust, span_str("hello-2.12"))->node].group, true);
    assert_int_equal(trust.quorum.nodes[trust_quorum_for(&trust, span_str("acme-web"))->node].group, false);
    trust_free(&trust);
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(attestation), cmocka_unit_test(trust_file) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
