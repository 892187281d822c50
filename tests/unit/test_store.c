#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/seen_run.h"
#include "log/store.h"

static char dir[64];
static struct why why;

#define ORIGIN "log.example"

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/stele-store.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char path[96];
    const char *const names[] = { "data/data.mdb", "data/lock.mdb", "data", "index/data.mdb", "index/lock.mdb", "index",
                                  "seen/0-50",     "seen",          "" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
    return 0;
}

/* Entry `i` of these tests: its bytes (of a length that varies), its builder and output from its number. */
static struct store_entry make_entry(unsigned i)
{
    size_t len = 40 + i % 70;
    char *text = malloc(len + 1);
    struct store_entry entry = { .outputs = calloc(1, sizeof *entry.outputs), .outputs_n = 1, .has_derivation = true };
    assert_non_null(text);
    assert_non_null(entry.outputs);
    memset(text, 'x', len);
    text[snprintf(text, len, "entry %u", i)] = ' ';
    entry.bytes = span_of(text, len);
    entry.leaf = merkle_leaf_hash(entry.bytes);
    entry.builder.b[0] = (uint8_t)(i % 3 + 1);
    entry.outputs[0][0] = (uint8_t)(i % 5);
    entry.derivation[0] = (uint8_t)i;
    return entry;
}

static void free_entry(struct store_entry *entry)
{
    free((void *)(uintptr_t)entry->bytes.data);
    free(entry->outputs);
}

/* What the indices want to know follows from an entry's bytes here too. */
static enum err describe(struct store_entry *out, struct span bytes, struct why *reason)
{
    unsigned i;
    if (sscanf((const char *)bytes.data, "entry %u", &i) != 1)
        return fail(reason, ERR_MALFORMED, "no entry");
    *out = make_entry(i);
    free((void *)(uintptr_t)out->bytes.data);
    out->bytes = bytes;
    return OK;
}

static void undescribe(struct store_entry *entry)
{
    free(entry->outputs);
}

static enum err try_open(struct store **out, const char *origin)
{
    return store_open(out,
                      &(struct store_config){
                          .dir = dir, .origin = span_str(origin), .describe = describe, .undescribe = undescribe },
                      &why);
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    if (try_open(&store, ORIGIN) != OK)
        print_message("# %s\n", why.text);
    assert_non_null(store);
    return store;
}

/* Appends entries [from, to) as one part and checks their indices. */
static void append(struct store *store, unsigned from, unsigned to, bool known)
{
    struct store_entry *entries = calloc(to - from, sizeof *entries);
    assert_non_null(entries);
    for (unsigned i = from; i < to; i++)
        entries[i - from] = make_entry(i);
    struct store_part part = { .entries = entries, .n = to - from };
    uint64_t size;
    assert_int_equal(store_append(store, &part, 1, &size, &why), OK);
    assert_int_equal(size, store_size(store));
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(entries[i - from].index, i);
        assert_int_equal(entries[i - from].known, known);
        free_entry(&entries[i - from]);
    }
    free(entries);
}

static void check_bundles(struct store_view *view, uint64_t size, unsigned step)
{
    for (uint64_t number = 0; number * TILE_WIDTH < size; number++) {
        unsigned width = tile_width(0, number, size);
        for (unsigned w = 1; w <= width; w += w + step < width ? step : 1) {
            struct buf scratch = BUF_EMPTY;
            struct span bundle, entries[TILE_WIDTH];
            assert_int_equal(store_view_bundle(view, number, w, &scratch, &bundle, &why), OK);
            assert_int_equal(bundle_parse(bundle, w, entries, &why), OK);
            struct store_entry want = make_entry((unsigned)(number * TILE_WIDTH + w - 1));
            assert_true(span_eq(entries[w - 1], want.bytes));
            free_entry(&want);
            buf_free(&scratch);
        }
    }
}

/* Everything that a tree of `size` entries must give. */
static void check_all(struct store *store, uint64_t size, unsigned step)
{
    struct store_view view;
    struct frontier frontier;
    frontier_start(&frontier);
    assert_true(store_size(store) >= size);
    assert_int_equal(store_view_begin(store, &view, &why), OK);
    assert_int_equal(view.size, store_size(store));
    struct store_walk walk;
    store_walk_start(&walk, &view, 0);
    for (uint64_t i = 0; i < size; i++) {
        struct store_entry want = make_entry((unsigned)i);
        struct span entry;
        assert_int_equal(store_walk_next(&walk, &entry, &why), OK);
        assert_true(span_eq(entry, want.bytes));
        if (i % step == 0) {
            assert_int_equal(store_view_entry(&view, i, &entry, &why), OK);
            assert_true(span_eq(entry, want.bytes));
        }
        frontier_append(&frontier, &want.leaf);
        free_entry(&want);
    }
    struct hash_reader reader = store_view_tiles(&view, size);
    struct hash root, expected = frontier_root(&frontier);
    assert_int_equal(merkle_root(size, &reader, &root, &why), OK);
    assert_true(hash_eq(&root, &expected));
    check_bundles(&view, size, step);
    store_view_end(&view);
    for (uint64_t i = 0; i < size; i++) {
        struct store_entry want = make_entry((unsigned)i);
        uint64_t index;
        bool found;
        assert_int_equal(store_find(store, &want.leaf, &found, &index, &why), OK);
        assert_true(found);
        assert_int_equal(index, i);
        want.leaf.b[31] ^= 1;
        assert_int_equal(store_find(store, &want.leaf, &found, &index, &why), OK);
        assert_false(found);
        free_entry(&want);
    }
}

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
        cmocka_unit_test_setup_teardown(test_batches_and_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_indices_follow_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stored_leaf_hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses_another_origin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_store, setup, teardown),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
