#include "tests/unit/support.h"

#include "lib/encode.h"
#include "lib/merkle.h"

static bool one(const json_t *object)
{
    struct hash old_root, root, proof[PROOF_HASHES_MAX];
    size_t i;
    const json_t *item, *list = json_object_get(object, "proof");
    struct why why;
    vector_hex(object, "old_root", old_root.b, sizeof old_root.b);
    vector_hex(object, "new_root", root.b, sizeof root.b);
    /* A proof line that is no hash, or one too many, is refused by the parser of the proof: it never gets here. */
    if (json_array_size(list) > PROOF_HASHES_MAX)
        return false;
    json_array_foreach(list, i, item)
    {
        struct buf bytes = BUF_EMPTY;
        bool hash = base64_decode(span_str(json_string_value(item)), &bytes) && bytes.len == sizeof proof[i].b;
        if (hash)
            memcpy(proof[i].b, bytes.data, bytes.len);
        buf_free(&bytes);
        if (!hash)
            return false;
    }
    return merkle_consistency_verify(vector_number(object, "old"), &old_root, vector_number(object, "new"), &root, proof,
                                     json_array_size(list), &why) == OK;
}

static void consistency(void **state)
{
    (void)state;
    run_vectors("consistency.json", NULL, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(consistency) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
