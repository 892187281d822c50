/* Our own test vectors, spec/vectors/, through the real code. Runs from the top folder. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/dsse.h"
#include "lib/forkfile.h"
#include "lib/headsfile.h"
#include "lib/proof.h"
#include "lib/statement.h"
#include "lib/sys/key.h"
#include "lib/trust.h"

static struct why why;

/* Runs `one` on each case of a file: what it returns must be the case's "ok". */
static void run(const char *file, bool (*one)(const json_t *object))
{
    char path[128];
    json_error_t error;
    snprintf(path, sizeof path, "spec/vectors/%s", file);
    json_t *cases = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *object;
    size_t i, accepted = 0, wrong = 0;
    assert_true(json_array_size(cases) > 1);
    json_array_foreach(cases, i, object)
    {
        bool want = json_is_true(json_object_get(object, "ok")), got;
        why.text[0] = '\0';
        got = one(object);
        accepted += got;
        if (got != want) {
            fprintf(stderr, "%s: %s: %s: %s\n", file, vector_text(object, "name"), got ? "accepted" : "refused", why.text);
            wrong++;
        }
    }
    printf("# spec/vectors/%s: %zu cases, %zu accepted\n", file, json_array_size(cases), accepted);
    json_decref(cases);
    assert_int_equal(wrong, 0);
}

static struct span text_of(const json_t *object, const char *key)
{
    const char *text = vector_text(object, key);
    assert_non_null(text);
    return span_str(text);
}

static struct hash hash_member(const json_t *object, const char *key)
{
    struct hash hash;
    vector_hex(object, key, hash.b, sizeof hash.b);
    return hash;
}

static bool attestation(const json_t *object)
{
    struct buf storage = BUF_EMPTY, again = BUF_EMPTY;
    struct envelope envelope;
    struct statement statement;
    struct span entry = text_of(object, "entry");
    enum err err = envelope_parse(&envelope, entry, &storage, &why);
    if (err == OK)
        err = envelope_verify(&envelope, &why);
    if (err == OK && (err = statement_parse(&statement, envelope.payload, &why)) == OK) {
        err = statement_check_key(&statement, envelope.key.name, &why);
        struct hash leaf = merkle_leaf_hash(entry), want = err == OK ? hash_member(object, "leafHash") : leaf;
        vkey_render(&again, &envelope.key);
        if (err == OK) {
            assert_true(hash_eq(&leaf, &want));
            assert_true(span_eq(envelope.payload, text_of(object, "payload")));
            assert_true(span_eq(span_buf(&again), text_of(object, "vkey")));
            assert_false(statement.foreign);
        }
        statement_free(&statement);
    }
    buf_free(&storage);
    buf_free(&again);
    return err == OK;
}

static bool payload(const json_t *object)
{
    struct statement statement;
    enum err err = statement_parse(&statement, text_of(object, "payload"), &why);
    if (err != OK)
        return false;
    err = statement_check_key(&statement, text_of(object, "keyName"), &why);
    if (err == OK && json_is_true(json_object_get(object, "counts")) == statement.foreign) {
        fprintf(stderr, "%s: %s\n", vector_text(object, "name"), statement.foreign ? statement.why_foreign.text : "it counts");
        assert_true(json_is_true(json_object_get(object, "ok")) && err != OK);
    }
    statement_free(&statement);
    return err == OK;
}

/* Its attestation, then its proof. */
static enum err open_bundle(const struct proof *proof, const struct policy *policy)
{
    struct buf entry = BUF_EMPTY, storage = BUF_EMPTY;
    struct envelope envelope;
    struct policy_view view;
    if (!proof_extra(proof, &entry))
        return fail(&why, ERR_MALFORMED, "no extra");
    struct hash leaf = merkle_leaf_hash(span_buf(&entry));
    enum err err = proof_verify(proof, &leaf, policy, &view, &why);
    if (err == OK)
        err = envelope_parse(&envelope, span_buf(&entry), &storage, &why);
    if (err == OK)
        err = envelope_verify(&envelope, &why);
    buf_free(&entry);
    buf_free(&storage);
    return err;
}

static bool bundle(const json_t *object)
{
    struct policy policy;
    struct proof proof;
    struct span rest = text_of(object, "bundle");
    enum err err = OK;
    uint64_t n = 0;
    assert_int_equal(policy_parse(&policy, text_of(object, "policy"), "policy", &why), OK);
    for (; err == OK && rest.len > 0; n++) {
        err = proof_next(&proof, &rest, &why);
        if (err == OK)
            err = open_bundle(&proof, &policy);
    }
    if (err == OK)
        assert_int_equal(n, vector_number(object, "count"));
    policy_free(&policy);
    return err == OK;
}

static bool inputs(const json_t *object)
{
    struct buf again = BUF_EMPTY;
    struct input *list = NULL;
    struct sha256 state;
    size_t n;
    struct span text = text_of(object, "list");
    if (input_list_parse(text, &list, &n, &why) != OK)
        return false;
    input_list_render(&again, list, n);
    struct hash digest = sha256_of(span_buf(&again)), want = hash_member(object, "sha256");
    assert_true(span_eq(span_buf(&again), text));
    assert_true(hash_eq(&digest, &want));
    sha256_start(&state);
    for (size_t i = 0; i < n; i++)
        closure_digest_add(&state, list[i].path, &list[i].nar_hash);
    digest = sha256_end(&state);
    want = hash_member(object, "closure");
    assert_true(hash_eq(&digest, &want));
    free(list);
    buf_free(&again);
    return true;
}

enum { EVIDENCE_MAX = 4, REFERENCES_IN_CASE = 4 };

/* What somebody attested: like the path but for its bytes. */
static void take_evidence(const json_t *item, const struct subject *like, struct trust_evidence *out, struct vkey *key,
                          struct statement *statement, struct subject *subject)
{
    static const enum claim claims[] = { CLAIM_BUILD, CLAIM_REBUILD, CLAIM_BACKFILL };
    assert_int_equal(vkey_parse(key, text_of(item, "vkey"), SIG_ED25519, &why), OK);
    *subject = *like;
    subject->nar_hash = hash_member(item, "narHash");
    *statement = (struct statement){ .subjects = subject, .subjects_n = 1, .inputs_recorded = true };
    for (size_t i = 0; i < 3; i++)
        if (span_is(text_of(item, "claim"), claim_name(claims[i])))
            statement->claim = claims[i];
    *out = (struct trust_evidence){ .key = key,
                                    .statement = statement,
                                    .subject = subject,
                                    .origin = text_of(item, "origin"),
                                    .index = vector_number(item, "index") };
}

static bool decision(const json_t *object)
{
    struct trust trust;
    struct trust_result result;
    struct trust_evidence evidence[EVIDENCE_MAX];
    struct statement statements[EVIDENCE_MAX];
    struct subject subjects[EVIDENCE_MAX], like = { 0 };
    struct vkey keys[EVIDENCE_MAX];
    struct span references[REFERENCES_IN_CASE];
    bool cache_signed[TRUST_BUILDERS_MAX] = { false };
    const json_t *list = json_object_get(object, "evidence"), *item;
    size_t i, n = json_array_size(list), references_n = json_array_size(json_object_get(object, "references"));
    assert_true(n <= EVIDENCE_MAX && references_n <= REFERENCES_IN_CASE);
    for (i = 0; i < references_n; i++)
        references[i] = span_str(json_string_value(json_array_get(json_object_get(object, "references"), i)));
    if (trust_parse(&trust, text_of(object, "trust"), "trust", &why) != OK)
        fprintf(stderr, "%s\n", why.text);
    assert_string_equal(why.text, "");
    struct trust_path path = { .nar_hash = hash_member(object, "narHash"),
                               .nar_size = vector_number(object, "narSize"),
                               .references_digest = references_digest(references, references_n),
                               .content_addressed = json_is_true(json_object_get(object, "contentAddressed")),
                               .looked_up = json_is_true(json_object_get(object, "lookedUp")),
                               .cache_signed = cache_signed };
    assert_int_equal(storepath_parse(&path.path, text_of(object, "path"), &why), OK);
    for (i = 0; i < trust.parties_n; i++)
        cache_signed[i] = trust.parties[i].cache && json_is_true(json_object_get(object, "cacheSigned"));
    like = (struct subject){ .path = path.path.path,
                             .output = span_str("out"),
                             .nar_size = path.nar_size,
                             .references = references,
                             .references_n = references_n,
                             .references_digest = path.references_digest };
    json_array_foreach(list, i, item) take_evidence(item, &like, &evidence[i], &keys[i], &statements[i], &subjects[i]);
    assert_int_equal(trust_judge(&trust, &path, evidence, n, NULL, NULL, &result, &why), OK);
    assert_string_equal(trust_verdict_name(result.verdict), vector_text(object, "verdict"));
    trust_free(&trust);
    return result.verdict != TRUST_REFUSED;
}

static bool trust_file(const json_t *object)
{
    struct trust trust;
    if (trust_parse(&trust, text_of(object, "trust"), "trust", &why) != OK)
        return false;
    trust_free(&trust);
    return true;
}

static bool evidence(const json_t *object)
{
    struct forkfile file;
    struct checkpoint heads[2];
    return forkfile_parse(&file, text_of(object, "evidence"), &why) == OK && !file.suspect &&
           forkfile_verify(&file, heads, &why) == OK;
}

static enum err newest(void *ctx, const struct headsfile_record *record, struct why *reason)
{
    (void)reason;
    *(uint64_t *)ctx = record->head.size;
    return OK;
}

static bool heads(const json_t *object)
{
    struct buf bytes = BUF_EMPTY;
    uint64_t size = 0;
    size_t len;
    assert_true(vector_bytes(object, "text", &bytes));
    enum err err = headsfile_parse(span_buf(&bytes), newest, &size, &len, &why);
    if (err == OK)
        assert_int_equal(size, vector_number(object, "size"));
    buf_free(&bytes);
    return err == OK;
}

static bool file(const json_t *object)
{
    struct span form = text_of(object, "form");
    struct secret_key *key = NULL;
    struct buf text = BUF_EMPTY;
    struct vkey vkey;
    enum err err;
    if (span_is(form, "heads"))
        return heads(object);
    if (span_is(form, "vkey"))
        return vkey_parse(&vkey, text_of(object, "text"), SIG_ED25519, &why) == OK;
    assert_true(span_is(form, "secret-key"));
    err = secret_key_parse(&key, text_of(object, "text"), SIG_ED25519, &why);
    if (err == OK) {
        vkey = secret_key_vkey(key);
        vkey_render(&text, &vkey);
        assert_true(span_eq(span_buf(&text), text_of(object, "vkey")));
    }
    secret_key_free(key);
    buf_free(&text);
    return err == OK;
}

static void attestations(void **state)
{
    (void)state;
    run("attestation.json", attestation);
}

static void payloads(void **state)
{
    (void)state;
    run("statement.json", payload);
}

static void bundles(void **state)
{
    (void)state;
    run("bundle.json", bundle);
}

static void input_lists(void **state)
{
    (void)state;
    run("inputs.json", inputs);
}

static void decisions(void **state)
{
    (void)state;
    run("trust.json", decision);
}

static void trust_files(void **state)
{
    (void)state;
    run("trust-file.json", trust_file);
}

static void forks(void **state)
{
    (void)state;
    run("evidence.json", evidence);
}

static void files(void **state)
{
    (void)state;
    run("files.json", file);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(attestations), cmocka_unit_test(payloads),  cmocka_unit_test(bundles),
                                        cmocka_unit_test(input_lists),  cmocka_unit_test(decisions), cmocka_unit_test(trust_files),
                                        cmocka_unit_test(forks),        cmocka_unit_test(files) };
    if (key_system_start(NULL) != OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
