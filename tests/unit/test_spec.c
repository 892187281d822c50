/* The examples of spec/ are what the code makes and takes. Runs from the top folder. */
#include "tests/unit/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/forkfile.h"
#include "lib/proof.h"
#include "lib/statement.h"
#include "lib/trust.h"
#include "log/lookups.h"

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

/* The input list of the page's own statement. */
static enum err take_inputs(struct span block, struct why *why)
{
    struct buf page = BUF_EMPTY, list = BUF_EMPTY;
    struct input *inputs;
    struct statement statement;
    size_t n;
    enum err err = input_list_parse(block, &inputs, &n, why);
    if (err != OK)
        return err;
    read_page("spec/attestation.md", &page);
    assert_int_equal(statement_parse(&statement, fenced(&page, "json", 0), why), OK);
    input_list_render(&list, statement.inputs, statement.inputs_n);
    assert_true(span_eq(span_buf(&list), block));
    statement_free(&statement);
    free(inputs);
    buf_free(&page);
    buf_free(&list);
    return OK;
}

/* It proves the attestation of spec/attestation.md, under the log and the witness of spec/keys.md. */
static enum err take_bundle(struct span block, struct why *why)
{
    struct buf page = BUF_EMPTY, keys = BUF_EMPTY, entry = BUF_EMPTY;
    struct policy policy;
    struct policy_view view;
    struct proof proof;
    enum err err = proof_parse(&proof, block, why);
    if (err != OK)
        return err;
    read_page("spec/attestation.md", &page);
    read_page("spec/keys.md", &keys);
    assert_true(proof_extra(&proof, &entry));
    struct span text = fenced(&page, "json", 1);
    assert_true(span_eq(span_buf(&entry), span_cut(text, 0, text.len - 1)));
    struct hash leaf = merkle_leaf_hash(span_buf(&entry));
    assert_int_equal(policy_parse(&policy, fenced(&keys, "policy", 0), "policy", why), OK);
    err = proof_verify(&proof, &leaf, &policy, &view, why);
    policy_free(&policy);
    buf_free(&page);
    buf_free(&keys);
    buf_free(&entry);
    return err;
}

static enum err take_evidence(struct span block, struct why *why)
{
    struct forkfile file;
    struct checkpoint heads[2];
    enum err err = forkfile_parse(&file, block, why);
    return err == OK ? forkfile_verify(&file, heads, why) : err;
}

/* Parses one fenced example as what its kind says; false for a kind that nothing here parses. */
static bool parses(const char *kind, struct span block, struct why *why)
{
    struct trust trust;
    struct policy policy;
    struct vkey vkey;
    struct lookup_list list;
    enum err err = ERR_MALFORMED;
    if (strcmp(kind, "trust") == 0 && (err = trust_parse(&trust, block, "trust", why)) == OK)
        trust_free(&trust);
    else if (strcmp(kind, "policy") == 0 && (err = policy_parse(&policy, block, "policy", why)) == OK)
        policy_free(&policy);
    else if (strcmp(kind, "vkey") == 0)
        err = vkey_parse(&vkey, span_cut(block, 0, block.len - 1), SIG_ED25519, why);
    else if (strcmp(kind, "inputs") == 0)
        err = take_inputs(block, why);
    else if (strcmp(kind, "bundle") == 0)
        err = take_bundle(block, why);
    else if (strcmp(kind, "evidence") == 0)
        err = take_evidence(block, why);
    else if (strcmp(kind, "outputs") == 0)
        err = lookup_list_parse(&list, block, why);
    else if (strcmp(kind, "json") == 0 || strcmp(kind, "text") == 0)
        err = OK; /* the attestation's two, above; what programs print */
    return err == OK;
}

/* Every fenced block of every page says what it is, and is that. */
static void every_example(void **state)
{
    char path[512], kind[32];
    size_t examples = 0;
    struct dirent *entry;
    (void)state;
    DIR *folder = opendir("spec");
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        struct buf page = BUF_EMPTY;
        struct span rest, line;
        if (!span_ends(span_str(entry->d_name), ".md"))
            continue;
        snprintf(path, sizeof path, "spec/%s", entry->d_name);
        read_page(path, &page);
        rest = span_buf(&page);
        while (span_line(&rest, &line)) {
            if (!span_skip(&line, "```"))
                continue;
            snprintf(kind, sizeof kind, "%.*s", SPAN_FMT(line));
            struct span block = span_of(rest.data, 0);
            struct why why = { "nothing here parses that kind" };
            while (span_line(&rest, &line) && !span_is(line, "```"))
                block.len = (size_t)(rest.data - block.data);
            if (!parses(kind, block, &why)) {
                fprintf(stderr, "%s: a block of kind `%s`: %s\n", path, kind, why.text);
                assert_null(kind);
            }
            examples++;
        }
        buf_free(&page);
    }
    closedir(folder);
    assert_true(examples >= 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(attestation), cmocka_unit_test(trust_file),
                                        cmocka_unit_test(every_example) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
