#include "tests/unit/support.h"

#include "lib/policy.h"

/* Each set of signers in `evaluate` satisfies the quorum, or not, as expected. */
static void evaluate(const json_t *object, const struct policy *policy)
{
    size_t i, k;
    const json_t *set, *name;
    json_array_foreach(json_object_get(object, "evaluate"), i, set)
    {
        bool said[POLICY_WITNESSES_MAX] = { false }, satisfied = true;
        struct why why;
        json_array_foreach(json_object_get(set, "signed"), k,
                           name) for (size_t w = 0; w < policy->witnesses_n;
                                      w++) if (span_is(policy->witnesses[w].name, json_string_value(name))) said[w] = true;
        if (policy->root >= 0)
            assert_int_equal(quorum_satisfied(&policy->quorum, (uint32_t)policy->root, said, &satisfied, NULL, &why), OK);
        assert_int_equal(satisfied, json_is_true(json_object_get(set, "satisfied")));
    }
}

static bool one(const json_t *object)
{
    struct buf text = BUF_EMPTY, note = BUF_EMPTY;
    struct policy policy;
    struct policy_view view;
    struct why why;
    assert_true(vector_bytes(object, "policy", &text));
    bool accepted = policy_parse(&policy, span_buf(&text), "policy", &why) == OK;
    if (accepted && strcmp(vector_text(object, "kind"), "checkpoint") == 0) {
        assert_true(vector_bytes(object, "note", &note));
        accepted = policy_check(&policy, span_buf(&note), &view, NULL, &why) == OK;
        policy_free(&policy);
    } else if (accepted) {
        if (json_is_true(json_object_get(object, "ok")))
            evaluate(object, &policy);
        policy_free(&policy);
    }
    buf_free(&text);
    buf_free(&note);
    return accepted;
}

static const struct exception exceptions[] = {
    { "log-mldsa44", "ML-DSA-44 is not supported yet; a policy that names such a key must not seem to be understood" },
    { "witness-mldsa44", "ML-DSA-44 is not supported yet; a policy that names such a key must not seem to be understood" },
    { NULL, NULL },
};

static void policies(void **state)
{
    (void)state;
    run_vectors("policies.json", exceptions, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(policies) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
