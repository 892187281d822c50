#include "tests/unit/support.h"
#include "tests/unit/store_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char dir[64];
struct why why;

int store_setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/stele-store.XXXXXX");
    return mkdtemp(dir) == NULL;
}

int store_teardown(void **state)
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

struct store_entry make_entry(unsigned i)
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

void free_entry(struct store_entry *entry)
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

enum err try_open(struct store **out, const char *origin)
{
    return store_open(out,
                      &(struct store_config){
                          .dir = dir, .origin = span_str(origin), .describe = describe, .undescribe = undescribe },
                      &why);
}

struct store *open_store(void)
{
    struct store *store = NULL;
    if (try_open(&store, ORIGIN) != OK)
        print_message("# %s\n", why.text);
    assert_non_null(store);
    return store;
}

void append(struct store *store, unsigned from, unsigned to, bool known)
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

void check_all(struct store *store, uint64_t size, unsigned step)
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
