/* The walk that recomputes a tree in several threads (log/audit.h), over trees of one to three levels of tiles. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/head.h"
#include "log/audit.h"

enum { ENTRIES_MAX = 66600, LEVELS = 3, STEP = AUDIT_STEP_BUNDLES * TILE_WIDTH };

static struct why why;
/* What a source serves: entry i is its number, little; tiles as they ought to be, but for one bit. */
static uint8_t *levels[LEVELS];
static struct {
    bool entry, tile;
    unsigned level;
    uint64_t number; /* of the entry, or of the hash */
} altered;

static struct hash leaf_of(uint64_t number)
{
    return merkle_leaf_hash(span_of(&number, sizeof number));
}

static int setup(void **state)
{
    (void)state;
    for (unsigned level = 0; level < LEVELS; level++) {
        levels[level] = calloc((ENTRIES_MAX >> 8 * level) + 1, 32);
        if (levels[level] == NULL)
            return -1;
    }
    for (uint64_t i = 0; i < ENTRIES_MAX; i++)
        memcpy(levels[0] + 32 * i, leaf_of(i).b, 32);
    for (unsigned level = 1; level < LEVELS; level++)
        for (uint64_t i = 0; i < (uint64_t)ENTRIES_MAX >> 8 * level; i++) {
            struct frontier frontier;
            frontier_start(&frontier);
            for (uint64_t k = 256 * i; k < 256 * (i + 1); k++) {
                struct hash hash;
                memcpy(hash.b, levels[level - 1] + 32 * k, 32);
                frontier_append(&frontier, &hash);
            }
            memcpy(levels[level] + 32 * i, frontier_root(&frontier).b, 32);
        }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned level = 0; level < LEVELS; level++)
        free(levels[level]);
    return 0;
}

struct reader {
    struct buf bundle, tile;
};

static unsigned opened;

static enum err reader_open(void *ctx, void **out, struct why *reason)
{
    (void)ctx;
    *out = calloc(1, sizeof(struct reader));
    __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
    return *out != NULL ? OK : fail(reason, ERR_ENV, "out of memory");
}

static void reader_close(void *ctx)
{
    struct reader *reader = ctx;
    buf_free(&reader->bundle);
    buf_free(&reader->tile);
    free(reader);
    __atomic_fetch_sub(&opened, 1, __ATOMIC_RELAXED);
}

static enum err read_bundle(void *ctx, uint64_t number, unsigned width, struct span *bundle, struct why *reason)
{
    struct reader *reader = ctx;
    buf_clear(&reader->bundle);
    for (uint64_t i = number * TILE_WIDTH; i < number * TILE_WIDTH + width; i++) {
        uint64_t value = altered.entry && altered.number == i ? i ^ 1 : i;
        bundle_add(&reader->bundle, span_of(&value, sizeof value));
    }
    *bundle = span_buf(&reader->bundle);
    return buf_done(&reader->bundle, reason);
}

static enum err read_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *reason)
{
    struct reader *reader = ctx;
    buf_clear(&reader->tile);
    buf_add(&reader->tile, levels[tile->level] + 32 * TILE_WIDTH * tile->index, 32 * (size_t)tile->width);
    if (altered.tile && altered.level == tile->level && altered.number / TILE_WIDTH == tile->index &&
        altered.number % TILE_WIDTH < tile->width)
        reader->tile.data[32 * (altered.number % TILE_WIDTH) + 7] ^= 4;
    *bytes = span_buf(&reader->tile);
    return buf_done(&reader->tile, reason);
}

static const struct audit_source source = { .open = reader_open, .close = reader_close, .bundle = read_bundle, .tile = read_tile };

static struct head head_at(uint64_t size)
{
    struct frontier frontier;
    frontier_start(&frontier);
    for (uint64_t i = 0; i < size; i++) {
        struct hash leaf = leaf_of(i);
        frontier_append(&frontier, &leaf);
    }
    return (struct head){ size, frontier_root(&frontier) };
}

static const uint64_t sizes[] = { 0, 1, 255, 256, 257, 511, 512, 4096, 4097, 65535, 65536, 65537, 66000, ENTRIES_MAX };
enum { SIZES_N = sizeof sizes / sizeof sizes[0] };

static struct audit *start(uint64_t size, unsigned threads)
{
    struct audit *audit = calloc(1, sizeof *audit);
    assert_non_null(audit);
    audit->source = &source;
    audit->threads = threads;
    audit->size = size;
    return audit;
}

static void every_size_gives_its_root(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES_N; i++) {
        struct head want = head_at(sizes[i]);
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            struct audit *audit = start(sizes[i], threads);
            assert_int_equal(audit_run(audit, &why), OK);
            struct hash root = frontier_root(&audit->frontier);
            assert_int_equal(audit->frontier.size, sizes[i]);
            assert_true(hash_eq(&root, &want.root));
            free(audit);
        }
    }
    assert_int_equal(opened, 0);
}

static void goes_on_from_every_size(void **state)
{
    (void)state;
    for (size_t i = 1; i < SIZES_N; i++)
        for (size_t k = i; k < SIZES_N; k += 2) {
            struct head before = head_at(sizes[i]), want = head_at(sizes[k]);
            struct audit *audit = start(sizes[k], 2);
            assert_int_equal(audit_resume(audit, before.size, &before.root, &why), OK);
            assert_int_equal(audit->frontier.size, before.size - before.size % TILE_WIDTH);
            assert_int_equal(audit_run(audit, &why), OK);
            struct hash root = frontier_root(&audit->frontier);
            assert_true(hash_eq(&root, &want.root));
            free(audit);
        }
    assert_int_equal(opened, 0);
}

static void does_not_go_on_from_another_tree(void **state)
{
    (void)state;
    struct head before = head_at(66000);
    struct audit *audit = start(ENTRIES_MAX, 1);
    before.root.b[31] ^= 1;
    assert_int_equal(audit_resume(audit, before.size, &before.root, &why), ERR_REFUSED);
    before.root.b[31] ^= 1;
    altered.tile = true;
    for (altered.level = 0; altered.level < LEVELS; altered.level++) {
        altered.number = (66000 >> 8 * altered.level) - 1; /* the last of each level */
        assert_int_equal(audit_resume(audit, before.size, &before.root, &why), ERR_REFUSED);
    }
    altered.tile = false;
    assert_int_equal(audit_resume(audit, before.size, &before.root, &why), OK);
    free(audit);
}

static void finds(uint64_t size, const char *what)
{
    struct audit *audit = start(size, 2);
    assert_int_equal(audit_run(audit, &why), ERR_REFUSED);
    if (strstr(why.text, what) == NULL)
        print_message("# %s\n", why.text);
    assert_non_null(strstr(why.text, what));
    free(audit);
    assert_int_equal(opened, 0);
}

static void every_level_is_compared(void **state)
{
    (void)state;
    altered.tile = true;
    altered.level = 0;
    altered.number = 300;
    finds(ENTRIES_MAX, "tile 1 of level 0");
    altered.number = ENTRIES_MAX - 1;
    finds(ENTRIES_MAX, "tile 260 of level 0");
    altered.level = 1;
    altered.number = 7;
    finds(ENTRIES_MAX, "tile 0 of level 1");
    finds(4096, "tile 0 of level 1"); /* a partial one */
    altered.number = 258;
    finds(ENTRIES_MAX, "tile 1 of level 1");
    altered.level = 2;
    altered.number = 0;
    finds(65536, "tile 0 of level 2");
    altered.tile = false;
    altered.entry = true;
    altered.number = 12345;
    finds(ENTRIES_MAX, "tile 48 of level 0");
    altered.number = 0;
    finds(1, "tile 0 of level 0");
    altered.entry = false;
}

static enum err count_step(void *ctx, const struct frontier *frontier, struct why *reason)
{
    unsigned *steps = ctx;
    struct head want = head_at(frontier->size);
    struct hash root = frontier_root(frontier);
    ++*steps;
    if (frontier->size != (uint64_t)*steps * STEP || !hash_eq(&root, &want.root))
        return fail(reason, ERR_REFUSED, "step %u is at %llu", *steps, (unsigned long long)frontier->size);
    return *steps < 4 ? OK : fail(reason, ERR_USAGE, "enough");
}

static void steps_come_in_order_and_may_end_it(void **state)
{
    (void)state;
    unsigned steps = 0;
    struct audit *audit = start(ENTRIES_MAX, 3);
    audit->step = count_step;
    audit->ctx = &steps;
    assert_int_equal(audit_run(audit, &why), ERR_USAGE);
    assert_int_equal(steps, 4);
    free(audit);
    assert_int_equal(opened, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_gives_its_root),          cmocka_unit_test(goes_on_from_every_size),
        cmocka_unit_test(does_not_go_on_from_another_tree),   cmocka_unit_test(every_level_is_compared),
        cmocka_unit_test(steps_come_in_order_and_may_end_it),
    };
    return cmocka_run_group_tests_name("audit", tests, setup, teardown);
}
