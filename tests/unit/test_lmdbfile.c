/* lib/lmdbfile.h over files that LMDB wrote: what it takes, LMDB reads without harm; what leads LMDB astray, it finds. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lmdbfile.h"
#include "lib/sys/file.h"
#include "lib/sys/kv.h"

static const char *const tables[] = { "one", "two", "three" };
static char dir[64];
static volatile uint8_t volatile_sum; /* so that values are read */

static char *path_of(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/stele-lmdbfile.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path_of("data.mdb"));
    unlink(path_of("lock.mdb"));
    return rmdir(dir);
}

static struct kv *open_as(bool read_only)
{
    struct kv *kv = NULL;
    struct why why;
    struct kv_config config = {
        .path = dir, .tables = tables, .tables_n = 3, .map_bytes = 1 << 20, .readers_max = 4, .read_only = read_only
    };
    return kv_open(&kv, &config, &why) == OK ? kv : NULL;
}

static struct kv *open_kv(void)
{
    return open_as(false);
}

struct work {
    unsigned from, n;
    size_t len;
    bool deletes;
};

static enum err do_work(void *ctx, struct kv_txn *txn, struct why *why)
{
    const struct work *work = ctx;
    uint8_t value[9000];
    enum err err = OK;
    for (unsigned i = work->from; i < work->from + work->n && err == OK; i++) {
        uint8_t key[24];
        memset(key, (int)(i % 3), sizeof key);
        put_be32(key, i);
        memset(value, (int)i, sizeof value);
        err = work->deletes ? kv_delete(txn, 0, span_of(key, sizeof key), why)
                            : kv_put(txn, 0, span_of(key, sizeof key), span_of(value, work->len), why);
    }
    return err;
}

/* Branches two levels deep, leaves, large values, pages given up: all that the format has. */
static void make_file(struct buf *out)
{
    const struct work works[] = { { 0, 300, 100, false },   { 1000, 2, 5000, false }, { 50, 40, 0, true },   { 1001, 1, 0, true },
                                  { 3000, 1, 5000, false }, { 60, 3, 30, false },     { 100, 3, 600, false } };
    struct why why;
    struct kv *kv = open_kv();
    assert_non_null(kv);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        struct work work = works[i];
        assert_int_equal(kv_write(kv, do_work, &work, &why), OK);
    }
    kv_close(kv);
    assert_int_equal(file_read(path_of("data.mdb"), 1 << 20, out, &why), OK);
}

static struct span whole; /* of what soon_in_file may be told */
static unsigned soon_calls;

static void soon_in_file(struct span bytes)
{
    assert_true(bytes.data >= whole.data && bytes.data + bytes.len <= whole.data + whole.len);
    assert_int_equal((size_t)(bytes.data - whole.data) % 4096, 0);
    soon_calls++;
}

static enum err check(const struct buf *file, struct why *why)
{
    struct lmdbfile_stat stat;
    whole = span_buf(file);
    return lmdbfile_check(whole, LMDBFILE_VALUES_NOW, soon_in_file, &stat, why);
}

/* The same for one who goes on to read all values. */
static enum err check_and_load(const struct buf *file, struct why *why)
{
    struct lmdbfile_stat stat;
    struct kv_room room = { NULL, 0 };
    struct kv_txn txn;
    whole = span_buf(file);
    enum err err = lmdbfile_check(whole, LMDBFILE_VALUES_LATER, soon_in_file, &stat, why);
    if (err != OK)
        return err;
    assert_int_equal(file_replace_soft(path_of("data.mdb"), 0600, whole, why), OK);
    struct kv *kv = open_as(true);
    assert_int_equal(kv_read(kv, &txn, why), OK);
    for (unsigned table = 0; table < 3 && err == OK; table++) {
        struct kv_cursor cursor;
        struct span key, value;
        bool found;
        assert_int_equal(kv_cursor_open(&cursor, &txn, table, span_of("", 0), 0, why), OK);
        while (kv_cursor_next(&cursor, &key, &value, &found, why) == OK && found && err == OK)
            err = kv_load(&txn, &value, &room, why);
        kv_cursor_close(&cursor);
    }
    kv_read_end(&txn);
    kv_close(kv);
    kv_room_free(&room);
    return err;
}

/* Reads all that the tables hold; the number of keys. */
static uint64_t read_all(struct kv *kv)
{
    uint64_t n = 0;
    struct kv_txn txn;
    struct why why;
    assert_int_equal(kv_read(kv, &txn, &why), OK);
    for (unsigned table = 0; table < 3; table++) {
        struct kv_cursor cursor;
        bool found = true;
        assert_int_equal(kv_cursor_open(&cursor, &txn, table, span_of("", 0), 0, &why), OK);
        while (found) {
            struct span key, value;
            assert_int_equal(kv_cursor_next(&cursor, &key, &value, &found, &why), OK);
            if (found && value.len > 0)
                volatile_sum ^= value.data[0] ^ value.data[value.len - 1];
            n += found;
        }
        kv_cursor_close(&cursor);
    }
    kv_read_end(&txn);
    return n;
}

static void what_lmdb_writes_is_taken(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    struct lmdbfile_stat stat;
    struct why why;
    assert_int_equal(kv_check(dir, KV_VALUES_LARGE, &why), OK); /* no file */
    make_file(&file);
    assert_int_equal(check(&file, &why), OK);
    assert_true(soon_calls > 2);
    assert_int_equal(lmdbfile_check(span_buf(&file), LMDBFILE_VALUES_NOW, NULL, &stat, &why), OK);
    assert_int_equal(stat.page_bytes, 4096);
    assert_true(stat.free_pages > 2 && stat.free_pages < stat.pages && stat.pages <= file.len / 4096);
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), OK);
    buf_free(&file);
}

/* After each commit, with everything that commits do to the free list; and of a compact copy. */
static void taken_after_every_commit(void **state)
{
    (void)state;
    struct why why;
    struct kv *kv = open_kv();
    for (unsigned i = 0; i < 300; i++) {
        struct work work = { .from = i * 7919 % 500, .n = i % 17, .len = i * 677 % 9000, .deletes = i % 3 == 2 };
        assert_int_equal(kv_write(kv, do_work, &work, &why), OK);
        if (kv_check(dir, KV_VALUES_LARGE, &why) != OK)
            print_message("# after commit %u: %s\n", i, why.text);
        assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), OK);
    }
    char copy[96];
    snprintf(copy, sizeof copy, "%s/copy", dir);
    assert_int_equal(mkdir(copy, 0700), 0);
    assert_int_equal(kv_copy(kv, copy, &why), OK);
    assert_int_equal(kv_check(copy, KV_VALUES_LARGE, &why), OK);
    unlink(path_of("copy/data.mdb"));
    rmdir(copy);
    kv_close(kv);
}

static void a_file_that_is_cut_is_found(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    struct lmdbfile_stat stat;
    struct why why;
    make_file(&file);
    for (size_t len = 0; len < file.len; len += 512)
        assert_int_equal(lmdbfile_check(span_of(file.data, len), LMDBFILE_VALUES_NOW, NULL, &stat, &why), ERR_MALFORMED);
    buf_free(&file);
}

/* A page that is another one, or an older one, though whole. */
static void a_misplaced_page_is_found(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    struct why why;
    make_file(&file);
    uint8_t page[4096];
    unsigned found = 0, pages = (unsigned)(file.len / 4096);
    for (size_t i = 2; i + 1 < pages; i++) {
        memcpy(page, file.data + i * 4096, 4096);
        memcpy(file.data + i * 4096, file.data + (i + 1) * 4096, 4096);
        found += check(&file, &why) == ERR_MALFORMED;
        memcpy(file.data + i * 4096, page, 4096);
    }
    assert_int_equal(check(&file, &why), OK);
    assert_true(found > pages / 3); /* the others are free, or the inside of large values */
    buf_free(&file);
}

/* Reads the altered file with LMDB, and now and then writes to it. */
static void assert_harmless(const struct buf *file, uint64_t keys, bool writes)
{
    struct why why;
    struct kv *kv;
    assert_int_equal(file_replace_soft(path_of("data.mdb"), 0600, span_buf(file), &why), OK);
    assert_non_null(kv = open_kv());
    assert_int_equal(read_all(kv), keys);
    if (writes) {
        assert_int_equal(kv_write(kv, do_work, &(struct work){ .from = 7000, .n = 3, .len = 3000 }, &why), OK);
        assert_int_equal(read_all(kv), keys + 3);
    }
    kv_close(kv);
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), OK);
}

/* The property that matters: whatever bit flips, it is found, or LMDB reads, and writes, without harm. */
static void a_flipped_bit_is_found_or_harmless(void **state)
{
    (void)state;
    struct buf file = BUF_EMPTY;
    struct why why;
    make_file(&file);
    struct kv *kv = open_kv();
    uint64_t keys = read_all(kv);
    kv_close(kv);
    unsigned found = 0, harmless = 0;
    for (size_t page = 0; page < file.len; page += 4096)
        for (size_t at = page; at < page + 4096; at += at < page + 160 ? 3 : 397) { /* densely in heads and tables of nodes */
            file.data[at] ^= (uint8_t)(1U << at % 8);
            if (check(&file, &why) != OK) {
                found++;
                assert_int_equal(check_and_load(&file, &why), ERR_MALFORMED);
            } else {
                assert_int_equal(check_and_load(&file, &why), OK);
                assert_harmless(&file, keys, ++harmless % 8 == 0);
            }
            file.data[at] ^= (uint8_t)(1U << at % 8);
        }
    print_message("# %u flipped bits found, %u harmless: bytes of values and keys, and free pages\n", found, harmless);
    assert_true(found > 100 && harmless > 100);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_lmdb_writes_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_after_every_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_cut_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_misplaced_page_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_found_or_harmless, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
