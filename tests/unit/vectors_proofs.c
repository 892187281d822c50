#include "tests/unit/support.h"

#include "lib/proof.h"

enum { POLICIES_MAX = 16 };

/* The `policy` cases, by name, for the cases that follow them. */
static struct {
    const char *name;
    struct policy policy;
} policies[POLICIES_MAX];
static size_t policies_n;

static const struct policy *find_policy(const json_t *object)
{
    for (size_t i = 0; i < policies_n; i++)
        if (strcmp(policies[i].name, vector_text(object, "policy")) == 0)
            return &policies[i].policy;
    assert_non_null(NULL);
    return NULL;
}

static void check_extra(const json_t *object, const struct proof *proof)
{
    struct buf extra = BUF_EMPTY, expected = BUF_EMPTY;
    bool has = proof_extra(proof, &extra);
    if (vector_bytes(object, "extra", &expected)) {
        assert_true(has);
        assert_true(span_eq(span_buf(&extra), span_buf(&expected)));
    } else if (json_object_get(object, "extra_bytes") != NULL) {
        assert_int_equal(extra.len, vector_number(object, "extra_bytes"));
    } else {
        assert_false(proof->has_extra);
    }
    buf_free(&extra);
    buf_free(&expected);
}

static void check_rendering(const struct proof *proof, struct span text)
{
    struct buf extra = BUF_EMPTY, again = BUF_EMPTY;
    bool has = proof_extra(proof, &extra);
    struct span data = span_buf(&extra);
    proof_render(&again, has ? &data : NULL, proof->index, proof->hashes, proof->n, proof->checkpoint);
    assert_true(span_eq(span_buf(&again), text));
    buf_free(&extra);
    buf_free(&again);
}

static bool one_proof(const json_t *object, struct span text, const struct hash *leaf)
{
    struct proof proof;
    struct policy_view view;
    struct why why;
    if (proof_parse(&proof, text, &why) != OK || proof_verify(&proof, leaf, find_policy(object), &view, &why) != OK)
        return false;
    if (json_is_true(json_object_get(object, "ok"))) {
        assert_int_equal(proof.index, vector_number(object, "index"));
        check_extra(object, &proof);
        check_rendering(&proof, text);
    }
    return true;
}

static bool bundle(const json_t *object, struct span text, const struct hash *leaf)
{
    const json_t *lengths = json_object_get(object, "lengths");
    struct span rest = text;
    size_t n = 0;
    while (rest.len > 0) {
        struct proof proof;
        struct policy_view view;
        struct why why;
        size_t before = rest.len;
        if (proof_next(&proof, &rest, &why) != OK || proof_verify(&proof, leaf, find_policy(object), &view, &why) != OK)
            return false;
        assert_int_equal(proof.text.len, before - rest.len);
        if (json_is_true(json_object_get(object, "ok")))
            assert_int_equal(proof.text.len, json_integer_value(json_array_get(lengths, n)));
        n++;
    }
    return n > 0;
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    struct buf text = BUF_EMPTY, leaf = BUF_EMPTY;
    struct why why;
    bool accepted;
    if (strcmp(kind, "policy") == 0) {
        assert_true(policies_n < POLICIES_MAX);
        policies[policies_n].name = vector_text(object, "name");
        assert_int_equal(policy_parse(&policies[policies_n++].policy, span_str(vector_text(object, "policy")), "policy", &why), OK);
        return true;
    }
    assert_true(vector_bytes(object, "proof", &text));
    assert_true(vector_bytes(object, "leaf", &leaf));
    struct hash hash = merkle_leaf_hash(span_buf(&leaf));
    accepted = strcmp(kind, "proof") == 0 ? one_proof(object, span_buf(&text), &hash) : bundle(object, span_buf(&text), &hash);
    buf_free(&text);
    buf_free(&leaf);
    return accepted;
}

static void proofs(void **state)
{
    (void)state;
    run_vectors("proofs.json", NULL, one);
    while (policies_n > 0)
        policy_free(&policies[--policies_n].policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(proofs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
