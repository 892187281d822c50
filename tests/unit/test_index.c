#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/index.h"

/* The index against an array of all keys, over many openings: each closing writes a run, and may cut a merge off. */

enum { KEYS_MAX = 1 << 19, NAMES = 40, BUILDERS = 3 };

static char dir[64];
static struct why why;
static uint8_t (*model)[INDEX_KEY_BYTES];
static size_t model_n;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/stele-index.XXXXXX");
    model = calloc(KEYS_MAX, INDEX_KEY_BYTES);
    model_n = 0;
    return mkdtemp(dir) == NULL || model == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char path[96];
    const char *const names[] = { "data.mdb", "lock.mdb", "" };
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
    free(model);
    return 0;
}

static struct index *open_index(void)
{
    struct index *index = NULL;
    if (index_open(&index, &(struct index_config){ .path = dir, .origin = span_str("log.example") }, &why) != OK)
        print_message("# %s\n", why.text);
    assert_non_null(index);
    return index;
}

static void path_key(uint8_t out[INDEX_KEY_BYTES], unsigned name, unsigned builder, uint64_t index)
{
    const uint8_t hash_part[HASH_PART_BYTES] = { (uint8_t)name, 7 };
    const uint8_t builder_hash[INDEX_BUILDER_BYTES] = { (uint8_t)builder, 1 };
    index_path_key(out, name % 2 == 0 ? INDEX_OUTPUT : INDEX_DERIVATION, hash_part, builder_hash, index);
}

/* Adds entries [from, to), one or two keys each; some keys twice. */
static void add(struct index *index, uint64_t from, uint64_t to, unsigned *seed)
{
    size_t n = 0;
    uint8_t *keys = calloc((size_t)(to - from) * 3, INDEX_KEY_BYTES);
    assert_non_null(keys);
    for (uint64_t i = from; i < to; i++)
        for (unsigned k = 0; k < 1 + i % 2; k++) {
            unsigned name = (unsigned)(rand_r(seed) % (NAMES / 2)) * 2 + k;
            path_key(model[model_n], name, (unsigned)rand_r(seed) % BUILDERS, i);
            memcpy(keys + n++ * INDEX_KEY_BYTES, model[model_n], INDEX_KEY_BYTES);
            if (i % 7 == 0)
                memcpy(keys + n++ * INDEX_KEY_BYTES, model[model_n], INDEX_KEY_BYTES);
            model_n++;
        }
    struct hash last = { { (uint8_t)to } };
    assert_int_equal(index_add(index, from, to, keys, n, &last, &why), OK);
    free(keys);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, INDEX_KEY_BYTES);
}

static void check_find(struct index_view *view, unsigned name, unsigned builder, uint64_t from, uint64_t size)
{
    static uint64_t indices[KEYS_MAX];
    uint8_t key[INDEX_KEY_BYTES];
    size_t n = 0, at = 0;
    path_key(key, name, builder, from);
    assert_int_equal(index_view_find(view, key, size, indices, KEYS_MAX, &n, &why), OK);
    for (size_t i = 0; i < model_n; i++) {
        uint64_t index = get_be64(model[i] + INDEX_NAME_BYTES);
        if (memcmp(model[i], key, INDEX_NAME_BYTES) != 0 || index < from || index >= size)
            continue;
        assert_true(at < n);
        assert_int_equal(indices[at++], index);
    }
    assert_int_equal(at, n);
    size_t few = 0;
    assert_int_equal(index_view_find(view, key, size, indices, 3, &few, &why), OK);
    assert_int_equal(few, n < 3 ? n : 3);
}

static void check_first(struct index_view *view, unsigned name, unsigned builder)
{
    uint8_t key[INDEX_KEY_BYTES], found_key[INDEX_KEY_BYTES];
    const uint8_t *want = NULL;
    bool found;
    const size_t prefix_len = 1 + HASH_PART_BYTES;
    path_key(key, name, builder, 0);
    for (size_t i = 0; i < model_n; i++)
        if (memcmp(model[i], key, prefix_len) == 0 && by_bytes(model[i], key) >= 0 &&
            (want == NULL || by_bytes(model[i], want) < 0))
            want = model[i];
    assert_int_equal(index_view_first(view, key, prefix_len, found_key, &found, &why), OK);
    assert_int_equal(found, want != NULL);
    if (found)
        assert_memory_equal(found_key, want, INDEX_KEY_BYTES);
}

static void check(struct index *index, uint64_t size, unsigned *seed)
{
    struct index_view *view;
    assert_int_equal(index_view_begin(index, &view, &why), OK);
    for (unsigned name = 0; name < NAMES; name += 1 + (unsigned)rand_r(seed) % 5) {
        unsigned builder = (unsigned)rand_r(seed) % BUILDERS;
        check_find(view, name, builder, 0, size);
        check_find(view, name, builder, (uint64_t)rand_r(seed) % size, (uint64_t)rand_r(seed) % size + 1);
        check_first(view, name, builder);
    }
    for (unsigned i = 0; i < 50; i++) {
        uint8_t key[INDEX_KEY_BYTES];
        bool has;
        memcpy(key, model[(unsigned)rand_r(seed) % model_n], INDEX_KEY_BYTES);
        assert_int_equal(index_view_has(view, key, &has, &why), OK);
        assert_true(has);
        key[5] ^= 1;
        assert_int_equal(index_view_has(view, key, &has, &why), OK);
        assert_false(has);
    }
    uint64_t stored, covered = index_view_covered(view), expected = 0;
    for (size_t i = 0; i < model_n; i++)
        expected += get_be64(model[i] + INDEX_NAME_BYTES) < covered;
    assert_int_equal(index_view_check(view, &stored, &why), OK);
    assert_int_equal(stored, expected);
    index_view_end(view);
}

static void test_many_openings(void **state)
{
    (void)state;
    unsigned seed = 1;
    uint64_t size = 0, covered;
    struct hash last;
    for (unsigned round = 0; round < 150; round++) {
        struct index *index = open_index();
        assert_int_equal(index_covered(index, &covered, &last, &why), OK);
        assert_int_equal(covered, size);
        if (size > 0)
            assert_int_equal(last.b[0], (uint8_t)size);
        for (unsigned batch = 0; batch < 1 + round % 4; batch++) {
            uint64_t to = size + 1 + (uint64_t)rand_r(&seed) % 60;
            add(index, size, to, &seed);
            size = to;
            if (batch % 2 == 1)
                check(index, size, &seed);
        }
        check(index, size, &seed);
        index_close(index);
    }
}

/* Larger than a merge's step, and than the memory that waits for the thread. */
static void test_large(void **state)
{
    (void)state;
    unsigned seed = 2;
    uint64_t size = 0;
    struct index *index = open_index();
    for (unsigned batch = 0; batch < 300; batch++) {
        add(index, size, size + 1000, &seed);
        size += 1000;
    }
    check(index, size, &seed);
    index_close(index);
    index = open_index();
    check(index, size, &seed);
    assert_int_equal(index_clear(index, &why), OK);
    index_close(index);
    index = open_index();
    uint64_t covered;
    struct hash last;
    assert_int_equal(index_covered(index, &covered, &last, &why), OK);
    assert_int_equal(covered, 0);
    index_close(index);
}

static void test_another_origin(void **state)
{
    (void)state;
    struct index *index = open_index();
    index_close(index);
    assert_int_equal(index_open(&index, &(struct index_config){ .path = dir, .origin = span_str("other.example") }, &why),
                     ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_openings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_origin, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
