/* What a store's indices answer, also after they were lost, or the data was put back. */
#include "tests/unit/support.h"
#include "tests/unit/store_world.h"

#include <stdio.h>
#include <stdlib.h>

static void expect_lookup(struct store_view *view, const struct store_lookup *lookup, const uint64_t *want, size_t want_n)
{
    uint64_t indices[64];
    size_t n;
    assert_int_equal(store_view_lookup(view, lookup, indices, 64, &n, &why), OK);
    assert_int_equal(n, want_n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(indices[i], want[i]);
}

static void test_lookups(void **state)
{
    (void)state;
    struct store *store = open_store();
    append(store, 0, 90, false);
    struct store_view view;
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    /* Output 0 stands in 0, 5, 10 …; builder b in 0 + b, 3 + b …: of all three, two each, in the builders' order. */
    struct store_lookup lookup = { .size = 90, .per_builder = 2 };
    expect_lookup(&view, &lookup, (const uint64_t[]){ 0, 15, 10, 25, 5, 20 }, 6);
    lookup.from = 16;
    expect_lookup(&view, &lookup, (const uint64_t[]){ 30, 45, 25, 40, 20, 35 }, 6);
    lookup.size = 31;
    expect_lookup(&view, &lookup, (const uint64_t[]){ 30, 25, 20 }, 3);
    struct hash builders[2] = { { { 2 } }, { { 9 } } };
    lookup = (struct store_lookup){ .size = 90, .per_builder = 3, .builders = builders, .builders_n = 2 };
    expect_lookup(&view, &lookup, (const uint64_t[]){ 10, 25, 40 }, 3);
    /* The builder's own index has them all, of whatever path; nothing at or past `size`. */
    struct store_lookup own = { .by = STORE_BUILDER, .size = 90, .per_builder = 4, .builders = builders, .builders_n = 1 };
    expect_lookup(&view, &own, (const uint64_t[]){ 1, 4, 7, 10 }, 4);
    own.from = 11;
    own.size = 17;
    expect_lookup(&view, &own, (const uint64_t[]){ 13, 16 }, 2);
    own.size = 16;
    expect_lookup(&view, &own, (const uint64_t[]){ 13 }, 1);
    own.builders = &builders[1];
    expect_lookup(&view, &own, NULL, 0);
    /* Entry i was built from derivation i. */
    struct store_lookup drv = { .by = STORE_DERIVATION, .hash_part = { 10 }, .size = 90, .per_builder = 2 };
    expect_lookup(&view, &drv, (const uint64_t[]){ 10 }, 1);
    drv.size = 10;
    expect_lookup(&view, &drv, NULL, 0);
    lookup.hash_part[0] = 7;
    expect_lookup(&view, &lookup, NULL, 0);
    lookup.builders_n = 0;
    expect_lookup(&view, &lookup, NULL, 0);
    lookup.hash_part[0] = 4;
    lookup.per_builder = 1000;
    uint64_t indices[64];
    size_t n;
    assert_int_equal(store_view_lookup(&view, &lookup, indices, 4, &n, &why), OK);
    assert_int_equal(n, 4);
    assert_int_equal(store_view_lookup(&view, &lookup, indices, 64, &n, &why), OK);
    assert_int_equal(n, 18);
    store_view_end(&view);
    store_close(store);
}

/* Every entry of [0, size) under its derivation, and none beyond. */
static void check_derivations(struct store *store, uint64_t size)
{
    struct store_view view;
    uint64_t indices[2048];
    size_t n, all = 0;
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    for (unsigned i = 0; i < 256; i++) {
        struct store_lookup lookup = { .by = STORE_DERIVATION, .hash_part = { (uint8_t)i }, .size = size, .per_builder = 2048 };
        assert_int_equal(store_view_lookup(&view, &lookup, indices, 2048, &n, &why), OK);
        all += n;
        for (size_t k = 0; k < n; k++)
            assert_true(indices[k] < size && indices[k] % 256 == i);
    }
    assert_int_equal(all, size);
    store_view_end(&view);
}

static void remove_index(void)
{
    char path[96];
    const char *const names[] = { "index/data.mdb", "index/lock.mdb" };
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(remove(path), 0);
    }
}

/* Indices that are gone, behind, or another log's are made from the entries. */
static void test_indices_follow_entries(void **state)
{
    (void)state;
    char kept[96], data[96];
    snprintf(kept, sizeof kept, "%s/kept", dir);
    snprintf(data, sizeof data, "%s/data/data.mdb", dir);
    struct store *store = open_store();
    append(store, 0, 300, false);
    store_close(store);
    remove_index();
    store = open_store();
    check_derivations(store, 300);
    append(store, 10, 11, true);
    store_close(store);
    /* The data is put back: what was indexed beyond it must go, also where other entries came in its place. */
    char command[256];
    snprintf(command, sizeof command, "cp %s %s", data, kept);
    assert_int_equal(system(command), 0);
    store = open_store();
    append(store, 300, 400, false);
    store_close(store);
    assert_int_equal(rename(kept, data), 0);
    store = open_store();
    assert_int_equal(store_size(store), 300);
    check_derivations(store, 300);
    struct store_entry other = make_entry(999);
    struct store_part part = { .entries = &other, .n = 1 };
    uint64_t size;
    assert_int_equal(store_append(store, &part, 1, &size, &why), OK);
    assert_int_equal(other.index, 300);
    free_entry(&other);
    store_close(store);
    store = open_store();
    struct store_metrics metrics;
    store_metrics(store, &metrics);
    assert_int_equal(metrics.index_lag_entries, 0);
    check_all(store, 300, 7);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lookups, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_indices_follow_entries, store_setup, store_teardown),
    };
    return cmocka_run_group_tests_name("store lookups", tests, NULL, NULL);
}
