#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/tile.h"

static bool parse_path(const json_t *object)
{
    struct buf text = BUF_EMPTY;
    struct tile tile;
    struct why why;
    assert_true(vector_bytes(object, "path", &text));
    bool accepted = tile_path_parse(&tile, span_buf(&text), &why) == OK;
    if (accepted && json_is_true(json_object_get(object, "ok"))) {
        const char *level = vector_text(object, "tile_level");
        assert_int_equal(tile.entries, strcmp(level, "entries") == 0);
        if (!tile.entries)
            assert_int_equal(tile.level, strtoul(level, NULL, 10));
        assert_int_equal(tile.index, vector_number(object, "index"));
        assert_int_equal(tile.width, vector_number(object, "width"));
    }
    buf_free(&text);
    return accepted;
}

static bool parse_bundle(const json_t *object, struct span bundle)
{
    struct span entries[TILE_WIDTH];
    struct why why;
    unsigned width = (unsigned)vector_number(object, "width");
    if (bundle_parse(bundle, width, entries, &why) != OK)
        return false;
    if (!json_is_true(json_object_get(object, "ok")))
        return true;
    struct buf again = BUF_EMPTY;
    for (unsigned i = 0; i < width; i++) {
        struct hash leaf = merkle_leaf_hash(entries[i]), expected;
        const char *text = json_string_value(json_array_get(json_object_get(object, "leaf_hashes"), i));
        assert_true(hex_decode(span_str(text), expected.b, sizeof expected.b));
        assert_true(hash_eq(&leaf, &expected));
        assert_int_equal(entries[i].len, json_integer_value(json_array_get(json_object_get(object, "sizes"), i)));
        bundle_add(&again, entries[i]);
    }
    assert_true(span_eq(span_buf(&again), bundle));
    buf_free(&again);
    return true;
}

static bool bundle(const json_t *object, bool fill)
{
    struct buf bytes = BUF_EMPTY;
    if (fill) {
        assert_true(vector_bytes(object, "prefix", &bytes));
        size_t count = vector_number(object, "count");
        uint8_t *at = buf_grow(&bytes, count);
        assert_non_null(at);
        memset(at, (int)vector_number(object, "fill"), count);
    } else {
        assert_true(vector_bytes(object, "bundle", &bytes));
    }
    bool accepted = parse_bundle(object, span_buf(&bytes));
    buf_free(&bytes);
    return accepted;
}

/* A tree of the case's leaves: its leaf hashes, and any tile computed from them alone. */
struct model {
    uint64_t size;
    const char *leaf;
    struct hash *leaves;
};

static void leaf_text(const struct model *model, uint64_t index, struct buf *out)
{
    const char *mark = strstr(model->leaf, "%d");
    assert_non_null(mark);
    buf_add(out, model->leaf, (size_t)(mark - model->leaf));
    buf_fmt(out, "%llu", (unsigned long long)index);
    buf_str(out, mark + 2);
}

static void tile_bytes(const struct model *model, const struct tile *tile, struct buf *out)
{
    uint64_t first = tile->index * TILE_WIDTH;
    for (uint64_t i = first; i < first + tile->width; i++) {
        if (tile->entries) {
            struct buf text = BUF_EMPTY;
            leaf_text(model, i, &text);
            bundle_add(out, span_buf(&text));
            buf_free(&text);
            continue;
        }
        struct frontier frontier;
        uint64_t each = UINT64_C(1) << (TILE_HEIGHT * tile->level);
        frontier_start(&frontier);
        for (uint64_t k = 0; k < each; k++)
            frontier_append(&frontier, &model->leaves[i * each + k]);
        struct hash hash = frontier_root(&frontier);
        buf_add(out, hash.b, sizeof hash.b);
    }
}

static enum err fetch_from_model(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    static struct buf kept;
    (void)why;
    buf_clear(&kept);
    tile_bytes(ctx, tile, &kept);
    *bytes = span_buf(&kept);
    return OK;
}

static bool tree(const json_t *object)
{
    struct model model = { vector_number(object, "size"), vector_text(object, "leaf"), NULL };
    struct frontier frontier;
    struct hash root, expected;
    struct why why;
    size_t i, n = 0;
    const json_t *item;
    model.leaves = calloc(model.size + 1, sizeof *model.leaves);
    frontier_start(&frontier);
    for (uint64_t k = 0; k < model.size; k++) {
        struct buf text = BUF_EMPTY;
        leaf_text(&model, k, &text);
        model.leaves[k] = merkle_leaf_hash(span_buf(&text));
        frontier_append(&frontier, &model.leaves[k]);
        buf_free(&text);
    }
    vector_hex(object, "root", expected.b, sizeof expected.b);
    root = frontier_root(&frontier);
    assert_true(hash_eq(&root, &expected));
    json_array_foreach(json_object_get(object, "tiles"), i, item)
    {
        struct tile tile;
        struct buf bytes = BUF_EMPTY;
        struct hash digest, wanted;
        assert_int_equal(tile_path_parse(&tile, span_str(vector_text(item, "path")), &why), OK);
        assert_int_equal(tile.width, tile_width(tile.level, tile.index, model.size));
        tile_bytes(&model, &tile, &bytes);
        assert_int_equal(bytes.len, vector_number(item, "bytes"));
        digest = sha256_of(span_buf(&bytes));
        vector_hex(item, "sha256", wanted.b, sizeof wanted.b);
        assert_true(hash_eq(&digest, &wanted));
        buf_free(&bytes);
        n++;
    }
    assert_int_equal(n, json_array_size(json_object_get(object, "tiles")));
    struct tile_cache *cache = calloc(1, sizeof *cache);
    struct tile_reader tiles = { .fetch = fetch_from_model, .ctx = &model, .size = model.size };
    struct hash_reader reader = tile_hash_reader(&tiles);
    assert_int_equal(merkle_root(model.size, &reader, &root, &why), OK);
    assert_true(hash_eq(&root, &expected));
    /* The same through a cache, which fills with the tiles of ever larger trees: roots, and a proof each. */
    assert_non_null(cache);
    for (uint64_t size = 1; size <= model.size; size += size < 600 ? 1 : size / 7) {
        struct tile_reader cached = { .fetch = fetch_from_model, .ctx = &model, .size = size, .cache = cache };
        struct hash_reader with = tile_hash_reader(&cached), without = tile_hash_reader(&tiles);
        struct hash a[PROOF_HASHES_MAX], b[PROOF_HASHES_MAX], root_with, root_without;
        size_t a_n, b_n;
        tiles.size = size;
        assert_int_equal(merkle_root(size, &with, &root_with, &why), OK);
        assert_int_equal(merkle_root(size, &without, &root_without, &why), OK);
        assert_true(hash_eq(&root_with, &root_without));
        assert_int_equal(merkle_inclusion_prove(size / 3, size, &with, a, &a_n, &why), OK);
        assert_int_equal(merkle_inclusion_prove(size / 3, size, &without, b, &b_n, &why), OK);
        assert_int_equal(a_n, b_n);
        assert_memory_equal(a, b, a_n * sizeof *a);
    }
    free(cache);
    free(model.leaves);
    return true;
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    if (strcmp(kind, "path") == 0)
        return parse_path(object);
    if (strcmp(kind, "tree") == 0)
        return tree(object);
    return bundle(object, strcmp(kind, "bundle-fill") == 0);
}

static void tiles(void **state)
{
    (void)state;
    run_vectors("tiles.json", NULL, one);
}

static enum err fetch_from_folder(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    static struct buf kept;
    char path[TILE_PATH_MAX], name[128];
    (void)ctx;
    tile_path_render(tile, path);
    snprintf(name, sizeof name, "smalllog/%s", path);
    buf_clear(&kept);
    if (!vectors_read(name, &kept))
        return fail(why, ERR_ENV, "no %s", name);
    *bytes = span_buf(&kept);
    return OK;
}

/* A whole log written by another program: every checkpoint, the tree from its tiles, and the tree from its entries. */
static void small_log(void **state)
{
    static const char vkey_text[] = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
    struct vkey key;
    struct why why;
    (void)state;
    if (vectors_dir() == NULL)
        skip();
    assert_int_equal(vkey_parse(&key, span_str(vkey_text), SIG_ED25519, &why), OK);
    struct frontier frontier;
    frontier_start(&frontier);
    for (uint64_t size = 0; size <= 15; size++) {
        char name[64];
        struct buf text = BUF_EMPTY;
        struct note note;
        struct checkpoint checkpoint;
        struct hash root;
        snprintf(name, sizeof name, "smalllog/checkpoint.%u", (unsigned)size);
        assert_true(vectors_read(name, &text));
        assert_int_equal(note_parse(&note, span_buf(&text), &why), OK);
        assert_int_equal(checkpoint_open(&checkpoint, &note, span_str("example.com/log/testdata"), &key, 1, &why), OK);
        assert_int_equal(checkpoint.size, size);
        if (size > 0) {
            struct tile bundle_tile = { .entries = true, .width = (uint16_t)size };
            struct span bytes, entries[TILE_WIDTH];
            assert_int_equal(fetch_from_folder(NULL, &bundle_tile, &bytes, &why), OK);
            assert_int_equal(bundle_parse(bytes, (unsigned)size, entries, &why), OK);
            struct hash leaf = merkle_leaf_hash(entries[size - 1]);
            frontier_append(&frontier, &leaf);
        }
        root = frontier_root(&frontier);
        assert_true(hash_eq(&root, &checkpoint.root));
        struct tile_reader reader_of = { .fetch = fetch_from_folder, .size = size };
        struct hash_reader reader = tile_hash_reader(&reader_of);
        assert_int_equal(merkle_root(size, &reader, &root, &why), OK);
        assert_true(hash_eq(&root, &checkpoint.root));
        buf_free(&text);
    }
    printf("# smalllog: 16 cases, a checkpoint of every size from 0 to 15\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tiles), cmocka_unit_test(small_log) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
