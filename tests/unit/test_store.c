/* What a store gives after appends, openings, duplicates, and what it refuses. */
#include "tests/unit/support.h"
#include "tests/unit/store_world.h"

#include <stdio.h>

#include "log/seen_run.h"

static void test_batches_and_reopening(void **state)
{
    (void)state;
    static const unsigned sizes[] = { 1, 2, 3, 7, 100, 255, 256, 257, 511, 513, 800, 1024, 1500, 70000 };
    struct store *store = open_store();
    check_all(store, 0, 1);
    unsigned at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        append(store, at, sizes[i], false);
        at = sizes[i];
        check_all(store, at, i % 2 == 0 ? 13 : 101);
        if (i % 4 == 3) {
            store_close(store);
            store = open_store();
        }
    }
    /* An older size is a prefix: its root and its tiles come from the same bytes. */
    struct store_view view;
    struct frontier frontier;
    frontier_start(&frontier);
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    for (unsigned i = 0; i < 1300; i++) {
        struct store_entry entry = make_entry(i);
        frontier_append(&frontier, &entry.leaf);
        free_entry(&entry);
        struct hash_reader reader = store_view_tiles(&view, i + 1);
        struct hash root, expected = frontier_root(&frontier);
        assert_int_equal(merkle_root(i + 1, &reader, &root, &why), OK);
        assert_true(hash_eq(&root, &expected));
    }
    store_view_end(&view);
    store_close(store);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct store *store = open_store();
    append(store, 0, 300, false);
    append(store, 0, 300, true);
    append(store, 299, 300, true);
    assert_int_equal(store_size(store), 300);
    /* Twice in one batch, once in each of two parts, and one that is known. */
    struct store_entry a[2] = { make_entry(300), make_entry(300) }, b[3] = { make_entry(300), make_entry(5), make_entry(301) };
    struct store_part parts[2] = { { .entries = a, .n = 2 }, { .entries = b, .n = 3 } };
    uint64_t size;
    assert_int_equal(store_append(store, parts, 2, &size, &why), OK);
    assert_int_equal(size, 302);
    assert_false(a[0].known);
    assert_true(a[1].known && b[0].known && b[1].known);
    assert_false(b[2].known);
    assert_int_equal(a[0].index, 300);
    assert_int_equal(a[1].index, 300);
    assert_int_equal(b[0].index, 300);
    assert_int_equal(b[1].index, 5);
    assert_int_equal(b[2].index, 301);
    for (size_t i = 0; i < 2; i++)
        free_entry(&a[i]);
    for (size_t i = 0; i < 3; i++)
        free_entry(&b[i]);
    check_all(store, 302, 7);
    store_close(store);
}

static void test_input_lists(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct store_entry entries[2] = { make_entry(0), make_entry(1) };
    struct store_list list = { .text = span_str("a list\n") };
    list.hash = sha256_of(list.text);
    entries[1].has_input_list = true;
    entries[1].input_list = list.hash;
    uint64_t size, first;
    struct store_part without = { .entries = entries, .n = 2 };
    assert_int_equal(store_append(store, &without, 1, &size, &why), ERR_REFUSED);
    assert_int_equal(store_size(store), 0);
    struct store_part with = { .entries = entries, .n = 2, .lists = &list, .lists_n = 1 };
    assert_int_equal(store_append(store, &with, 1, &size, &why), OK);
    assert_int_equal(size, 2);
    struct store_view view;
    struct span text;
    bool found;
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    assert_int_equal(store_view_inputs(&view, &list.hash, &text, &first, &found, &why), OK);
    assert_true(found && span_is(text, "a list\n"));
    assert_int_equal(first, 1);
    assert_int_equal(store_view_inputs(&view, &entries[0].leaf, &text, &first, &found, &why), OK);
    assert_false(found);
    store_view_end(&view);
    /* Stored once, it need not travel again. */
    struct store_entry again = make_entry(2);
    again.has_input_list = true;
    again.input_list = list.hash;
    struct store_part third = { .entries = &again, .n = 1 };
    assert_int_equal(store_append(store, &third, 1, &size, &why), OK);
    free_entry(&entries[0]);
    free_entry(&entries[1]);
    free_entry(&again);
    check_all(store, 3, 1);
    store_close(store);
}

/* A run of the leaf hashes of entries [0, n), where that of `wrong` is another's. */
static void make_seen_run(unsigned n, unsigned wrong)
{
    char path[96];
    uint8_t records[64 * SEEN_RECORD_BYTES];
    struct seen_records sources[64];
    struct seen_run run;
    struct hash last = { { 0 } };
    atomic_bool cancel = false;
    bool made;
    for (unsigned i = 0; i < n; i++) {
        struct store_entry entry = make_entry(i == wrong ? 1000 + i : i);
        sources[i] = (struct seen_records){ records + i * SEEN_RECORD_BYTES, records + (i + 1) * SEEN_RECORD_BYTES };
        memcpy(records + i * SEEN_RECORD_BYTES, entry.leaf.b, 8);
        put_be64(records + i * SEEN_RECORD_BYTES + 8, i);
        last = entry.leaf;
        free_entry(&entry);
    }
    snprintf(path, sizeof path, "%s/seen", dir);
    assert_int_equal(seen_run_make(&run, path, 0, n, &last, sources, n, &cancel, &made, &why), OK);
    seen_run_close(&run, false);
}

static enum err check_leaves(unsigned n)
{
    struct store *store;
    struct store_view view;
    struct store_config config = { .dir = dir, .origin = span_str(ORIGIN), .reading = true };
    assert_int_equal(store_open(&store, &config, &why), OK);
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    enum err err = OK;
    for (unsigned i = 0; i < n && err == OK; i++) {
        struct store_entry entry = make_entry(i);
        entry.index = i;
        err = store_view_check_leaf(&view, &entry, &why);
        free_entry(&entry);
    }
    store_view_end(&view);
    store_close(store);
    return err;
}

static void test_stored_leaf_hashes(void **state)
{
    (void)state;
    struct store *store = open_store();
    append(store, 0, 60, false);
    store_close(store);
    make_seen_run(50, 50); /* none is wrong */
    assert_int_equal(check_leaves(60), OK);
    make_seen_run(50, 7);
    assert_int_equal(check_leaves(60), ERR_REFUSED);
    assert_non_null(strstr(why.text, "entry 7 is missing from the set of leaf hashes"));
}

static void test_refuses_another_origin(void **state)
{
    (void)state;
    struct store *store = open_store();
    append(store, 0, 1, false);
    store_close(store);
    assert_int_equal(try_open(&store, "other.example"), ERR_REFUSED);
    assert_null(store);
    assert_non_null(strstr(why.text, "other.example"));
    store = open_store();
    check_all(store, 1, 1);
    store_close(store);
}

static void test_killed_store(void **state)
{
    (void)state;
    struct store *store = open_store();
    append(store, 0, 10, false);
    store_kill(store, &(struct why){ "a disk error" });
    struct store_entry entry = make_entry(10);
    struct store_part part = { .entries = &entry, .n = 1 };
    uint64_t size;
    assert_int_equal(store_append(store, &part, 1, &size, &why), ERR_ENV);
    assert_true(store_dead(store, &why));
    assert_string_equal(why.text, "a disk error");
    free_entry(&entry);
    check_all(store, 10, 1);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_and_reopening, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_input_lists, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_stored_leaf_hashes, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_refuses_another_origin, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(test_killed_store, store_setup, store_teardown),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
