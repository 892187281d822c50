#include "tests/unit/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/encode.h"
#include "lib/merkle.h"

/* Cases where a C2SP witness must, or we do, decide otherwise, each with what is expected here. */
static const struct {
    const char *name;
    bool accepted;
} decided[] = {
    /* c2sp.org/tlog-witness: from size 0 the empty proof is right. Their roots have not 32 bytes, though: refused for that. */
    { "consistency/additional/size1-is-zero-and-does-not-equal-size2.json", false },
    { "consistency/additional/size1-is-zero-and-size2-is-not-zero.json", false },
    { "consistency/additional/consistency-check-on-empty-tree-size1-is-zero-is-useless.json", false },
    /* Equal "roots" that are no SHA-256 hashes. */
    { "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json", false },
};

static size_t cases, failures, named;

static bool take_hash(const json_t *value, struct hash *out)
{
    return json_is_string(value) &&
           base64_decode_to(span_of(json_string_value(value), json_string_length(value)), out->b, sizeof out->b);
}

static bool take_proof(const json_t *list, struct hash *proof, size_t *n)
{
    size_t i;
    const json_t *item;
    *n = json_array_size(list);
    if (*n > PROOF_HASHES_MAX)
        return false;
    json_array_foreach(list, i, item) if (!take_hash(item, &proof[i])) return false;
    return true;
}

static bool accepts(const json_t *object)
{
    struct hash first, root, second, proof[PROOF_HASHES_MAX];
    size_t n;
    if (!take_proof(json_object_get(object, "proof"), proof, &n))
        return false;
    if (json_object_get(object, "leafIdx") != NULL)
        return take_hash(json_object_get(object, "leafHash"), &first) && take_hash(json_object_get(object, "root"), &root) &&
               merkle_inclusion_verify(&first, vector_number(object, "leafIdx"), vector_number(object, "treeSize"), proof, n, &root,
                                       NULL) == OK;
    return take_hash(json_object_get(object, "root1"), &first) && take_hash(json_object_get(object, "root2"), &second) &&
           merkle_consistency_verify(vector_number(object, "size1"), &first, vector_number(object, "size2"), &second, proof, n,
                                     NULL) == OK;
}

static void one_file(const char *name)
{
    struct buf text = BUF_EMPTY;
    char path[1100];
    snprintf(path, sizeof path, "rfc6962/%s", name);
    assert_true(vectors_read(path, &text));
    buf_byte(&text, '\0');
    text.len--;
    json_error_t error;
    json_t *object = json_loadb((const char *)text.data, text.len, 0, &error);
    if (object == NULL) {
        /* A size of 2^64 - 1 is beyond jansson's integers, and beyond any tree's. */
        assert_non_null(strstr(error.text, "too big integer"));
        cases++;
        assert_non_null(strstr((const char *)text.data, "\"wantErr\": true"));
        buf_free(&text);
        return;
    }
    bool expected = !json_is_true(json_object_get(object, "wantErr")), accepted = accepts(object);
    for (size_t i = 0; i < sizeof decided / sizeof *decided; i++)
        if (strcmp(name, decided[i].name) == 0) {
            expected = decided[i].accepted;
            named++;
        }
    cases++;
    if (accepted != expected) {
        failures++;
        fprintf(stderr, "%s: %s\n", name, accepted ? "accepted" : "refused");
    }
    json_decref(object);
    buf_free(&text);
}

static void walk(const char *folder)
{
    char path[4096];
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/rfc6962/%s", vectors_dir(), folder);
    int n = scandir(path, &entries, NULL, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char name[1024];
        struct stat st;
        snprintf(name, sizeof name, "%s/%s", folder, entries[i]->d_name);
        snprintf(path, sizeof path, "%s/rfc6962/%s", vectors_dir(), name);
        if (entries[i]->d_name[0] != '.' && stat(path, &st) == 0)
            S_ISDIR(st.st_mode) ? walk(name) : one_file(name);
        free(entries[i]);
    }
    free(entries);
}

static void rfc6962(void **state)
{
    (void)state;
    if (vectors_dir() == NULL)
        skip();
    walk("inclusion");
    walk("consistency");
    printf("# rfc6962: %zu cases, %zu of them decided by name; %zu failed\n", cases, named, failures);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rfc6962) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
