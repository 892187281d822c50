#include "tests/unit/support.h"

#include <pthread.h>

#include "log/hot.h"
#include "log/limits.h"

static struct http_shared *answer(void)
{
    struct buf body = BUF_EMPTY;
    buf_str(&body, "answer");
    struct http_shared *shared = http_shared_new(200, NULL, &body);
    assert_non_null(shared);
    return shared;
}

static bool has(struct hot *hot, struct tile tile, bool packed)
{
    struct http_shared *found = hot_find(hot, &tile, packed);
    http_shared_release(found);
    return found != NULL;
}

static void put(struct hot *hot, struct tile tile, bool packed, size_t bytes)
{
    struct http_shared *shared = answer();
    hot_keep(hot, &tile, packed, shared, bytes);
    http_shared_release(shared);
}

static void tells_tiles_apart(void **state)
{
    (void)state;
    static const struct tile tiles[] = {
        { .level = 0, .index = 7, .width = 256 },      { .level = 1, .index = 7, .width = 256 },
        { .level = 0, .index = 8, .width = 256 },      { .level = 0, .index = 7, .width = 255 },
        { .entries = true, .index = 7, .width = 256 }, { .level = 63, .index = UINT64_MAX >> 9, .width = 1 },
    };
    struct hot *hot = hot_new();
    for (size_t i = 0; i < 2 * sizeof tiles / sizeof tiles[0]; i++) {
        assert_false(has(hot, tiles[i / 2], i % 2));
        put(hot, tiles[i / 2], i % 2, 100);
        put(hot, tiles[i / 2], i % 2, 100); /* again: changes nothing */
        assert_true(has(hot, tiles[i / 2], i % 2));
    }
    hot_free(hot);
}

/* What is asked for stays, what is not goes, and never more is kept than may be. */
static void keeps_what_is_asked_for(void **state)
{
    (void)state;
    enum { BYTES = 4096, N = 4 * HOT_BYTES_MAX / BYTES };
    struct tile asked = { .index = 1000000, .width = 256 }, tile = { .width = 256 };
    struct hot *hot = hot_new();
    put(hot, asked, false, BYTES);
    for (; tile.index < N; tile.index++) {
        put(hot, tile, false, BYTES);
        assert_true(has(hot, asked, false));
    }
    uint64_t kept = 0;
    for (tile.index = 0; tile.index < N; tile.index++)
        kept += has(hot, tile, false);
    assert_in_range(kept, N / 8, N / 4);
    put(hot, (struct tile){ .index = 2000000, .width = 256 }, false, HOT_BYTES_MAX);
    assert_false(has(hot, (struct tile){ .index = 2000000, .width = 256 }, false));
    hot_free(hot);
}

static void *use(void *ctx)
{
    for (uint64_t i = 0; i < 20000; i++) {
        struct tile tile = { .index = i * 7919 % 500, .width = 256 };
        if (!has(ctx, tile, false))
            put(ctx, tile, false, HOT_BYTES_MAX / 300);
    }
    return NULL;
}

static void serves_many_threads(void **state)
{
    (void)state;
    struct hot *hot = hot_new();
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, use, hot);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    hot_free(hot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_tiles_apart),
        cmocka_unit_test(keeps_what_is_asked_for),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
