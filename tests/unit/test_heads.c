#include "tests/unit/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/headsfile.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"

static char folder[] = "/tmp/stele-heads.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/heads", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct head_record record(const char *origin, uint64_t size, uint64_t time_s)
{
    struct head_record out = { sha256_of(span_str(origin)), { size, sha256_of(span_of(&size, sizeof size)) }, time_s, false };
    return out;
}

static struct heads *must_open(void)
{
    struct heads *heads;
    struct why why = { "" };
    if (heads_open(&heads, path, &why) != OK)
        assert_string_equal(why.text, "");
    return heads;
}

static void must_add(struct heads *heads, const struct head_record *records, size_t n)
{
    struct why why = { "" };
    if (heads_add(heads, records, n, &why) != OK)
        assert_string_equal(why.text, "");
}

static enum err open_again(struct why *why)
{
    struct heads *heads;
    enum err err = heads_open(&heads, path, why);
    if (err == OK)
        heads_close(heads);
    return err;
}

static uint64_t size_of(const struct heads *heads, const char *origin)
{
    struct hash hash = sha256_of(span_str(origin));
    const struct head_record *found = heads_find(heads, &hash);
    return found == NULL ? UINT64_MAX : found->head.size;
}

static void start_anew(void)
{
    struct why why;
    unlink(path);
    assert_int_equal(heads_create(path, &why), OK);
}

static void keeps_the_newest(void **state)
{
    struct head_record records[] = { record("a", 1, 10), record("b", 5, 11), record("a", 3, 12) };
    (void)state;
    start_anew();
    struct heads *heads = must_open();
    assert_int_equal(size_of(heads, "a"), UINT64_MAX);
    must_add(heads, records, 3);
    assert_int_equal(size_of(heads, "a"), 3);
    heads_close(heads);
    heads = must_open();
    assert_int_equal(size_of(heads, "a"), 3);
    assert_int_equal(size_of(heads, "b"), 5);
    assert_int_equal(heads_count(heads), 2);
    heads_close(heads);
}

static void ten_thousand_origins(void **state)
{
    (void)state;
    start_anew();
    struct heads *heads = must_open();
    for (unsigned batch = 0; batch < 100; batch++) {
        struct head_record records[100];
        for (unsigned i = 0; i < 100; i++) {
            char origin[32];
            snprintf(origin, sizeof origin, "log %u", batch * 100 + i);
            records[i] = record(origin, batch, 1);
        }
        must_add(heads, records, 100);
    }
    heads_close(heads);
    heads = must_open();
    assert_int_equal(heads_count(heads), 10000);
    assert_int_equal(size_of(heads, "log 9999"), 99);
    assert_int_equal(size_of(heads, "log 4242"), 42);
    heads_close(heads);
}

static void write_file(const struct buf *file, size_t len)
{
    struct why why;
    assert_int_equal(file_replace(path, 0600, span_of(file->data, len), &why), OK);
}

/* Two batches; the file then cut or damaged in every way. */
static void two_batches(struct buf *file)
{
    struct head_record first[] = { record("a", 1, 10), record("b", 2, 10) },
                       second[] = { record("a", 4, 11), record("b", 5, 11), record("c", 6, 11) };
    struct why why;
    start_anew();
    struct heads *heads = must_open();
    must_add(heads, first, 2);
    must_add(heads, second, 3);
    heads_close(heads);
    assert_int_equal(file_read(path, 1 << 20, file, &why), OK);
    assert_int_equal(file->len, 6 * HEADSFILE_RECORD_BYTES);
}

static void torn_last_batch(void **state)
{
    struct buf file = BUF_EMPTY;
    (void)state;
    two_batches(&file);
    /* Cut anywhere in the last batch: what was synced before stands, and the file can be written on. */
    for (size_t len = 3 * HEADSFILE_RECORD_BYTES; len <= file.len; len++) {
        write_file(&file, len);
        struct heads *heads = must_open();
        assert_true(size_of(heads, "a") == 1 || size_of(heads, "a") == 4);
        assert_true(size_of(heads, "b") == 2 || size_of(heads, "b") == 5);
        assert_true(len >= 4 * HEADSFILE_RECORD_BYTES || size_of(heads, "a") == 1);
        struct head_record next = record("a", 9, 12);
        must_add(heads, &next, 1);
        heads_close(heads);
        heads = must_open();
        assert_int_equal(size_of(heads, "a"), 9);
        heads_close(heads);
    }
    /* A sector of it lost: the records before stand, the rest is cut off. */
    for (size_t at = 3 * HEADSFILE_RECORD_BYTES; at < file.len; at += 64) {
        struct buf torn = BUF_EMPTY;
        buf_span(&torn, span_buf(&file));
        memset(torn.data + at, 0, 64);
        write_file(&torn, torn.len);
        struct heads *heads = must_open();
        assert_true(size_of(heads, "b") == 2 || size_of(heads, "b") == 5);
        heads_close(heads);
        buf_free(&torn);
    }
    buf_free(&file);
}

static void damage_is_refused(void **state)
{
    struct buf file = BUF_EMPTY;
    struct why why = { "" };
    (void)state;
    two_batches(&file);
    /* Any bit of header or first batch: later records show that it was synced, and so was damaged. In the last batch one bit is
     * no torn write either; it is named, and turned back it is right. */
    for (size_t at = 0; at < file.len; at += at < 3 * HEADSFILE_RECORD_BYTES ? 1 : 7) {
        char wanted[64];
        file.data[at] ^= 0x10;
        write_file(&file, file.len);
        assert_int_equal(open_again(&why), ERR_MALFORMED);
        snprintf(wanted, sizeof wanted, "of value 16 in byte %zu of the file", at);
        assert_true(at < 3 * HEADSFILE_RECORD_BYTES || strstr(why.text, wanted) != NULL);
        file.data[at] ^= 0x10;
    }
    write_file(&file, file.len);
    assert_int_equal(open_again(&why), OK);
    /* A record taken out of the middle. */
    memmove(file.data + HEADSFILE_RECORD_BYTES, file.data + 2 * HEADSFILE_RECORD_BYTES, file.len - 2 * HEADSFILE_RECORD_BYTES);
    write_file(&file, file.len - HEADSFILE_RECORD_BYTES);
    assert_int_equal(open_again(&why), ERR_MALFORMED);
    unlink(path);
    assert_int_equal(open_again(&why), ERR_ENV);
    buf_free(&file);
}

static void add_raw(struct buf *file, const char *origin, uint64_t size, uint64_t number)
{
    struct head_record one = record(origin, size, 1);
    struct headsfile_record raw = { one.origin_hash, one.head, 1, number, number };
    headsfile_record(file, &raw);
}

static void going_back_is_refused(void **state)
{
    struct buf file = BUF_EMPTY;
    struct why why = { "" };
    (void)state;
    headsfile_header(&file);
    add_raw(&file, "a", 5, 1);
    write_file(&file, file.len);
    assert_int_equal(open_again(&why), OK);
    add_raw(&file, "a", 4, 2);
    write_file(&file, file.len);
    assert_int_equal(open_again(&why), ERR_MALFORMED);
    buf_free(&file);
}

static void is_rewritten_where_most_is_superseded(void **state)
{
    struct stat before, after;
    (void)state;
    start_anew();
    struct heads *heads = must_open();
    for (uint64_t size = 1; size <= 2000; size++) {
        struct head_record one = record("a", size, size);
        must_add(heads, &one, 1);
    }
    heads_close(heads);
    assert_int_equal(stat(path, &before), 0);
    heads = must_open();
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_size > 2000 * HEADSFILE_RECORD_BYTES);
    assert_int_equal(after.st_size, 2 * HEADSFILE_RECORD_BYTES);
    struct head_record next = record("a", 2001, 2001);
    must_add(heads, &next, 1);
    heads_close(heads);
    heads = must_open();
    assert_int_equal(size_of(heads, "a"), 2001);
    heads_close(heads);
}

/* The rewritten file was renamed into place, so damage in it is no torn write: it must not pass for one, and take the heads of
 * the origins behind it along. */
static void damage_after_a_rewrite_is_refused(void **state)
{
    static const char *const origins[] = { "a", "b", "c" };
    struct buf file = BUF_EMPTY;
    struct why why = { "" };
    (void)state;
    start_anew();
    struct heads *heads = must_open();
    for (uint64_t size = 1; size <= 1500; size++) {
        struct head_record one = record(origins[size % 3], size, size);
        must_add(heads, &one, 1);
    }
    heads_close(heads);
    heads_close(must_open());
    assert_int_equal(file_read(path, 1 << 20, &file, &why), OK);
    assert_int_equal(file.len, 4 * HEADSFILE_RECORD_BYTES);
    for (size_t at = 0; at < 3 * HEADSFILE_RECORD_BYTES; at++) {
        file.data[at] ^= 0x10;
        write_file(&file, file.len);
        assert_int_equal(open_again(&why), ERR_MALFORMED);
        file.data[at] ^= 0x10;
    }
    write_file(&file, file.len);
    heads = must_open();
    assert_int_equal(size_of(heads, "a"), 1500);
    assert_int_equal(heads_count(heads), 3);
    heads_close(heads);
    buf_free(&file);
}

static void only_a_file_with_a_header_opens(void **state)
{
    struct why why = { "" };
    (void)state;
    start_anew();
    assert_int_equal(open_again(&why), OK);
    assert_int_equal(file_replace(path, 0600, span_str(""), &why), OK);
    assert_int_equal(open_again(&why), ERR_MALFORMED);
    assert_int_equal(file_replace(path, 0600, span_str("stele heads v1\n"), &why), OK);
    assert_int_equal(open_again(&why), ERR_MALFORMED);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_again(&why), ERR_ENV);
    assert_int_equal(rmdir(path), 0);
}

/* A write that fails ends all signing until a restart, also where the next write would succeed. */
static void a_failed_write_is_final(void **state)
{
    struct rlimit old, small;
    struct why why;
    (void)state;
    start_anew();
    struct heads *heads = must_open();
    struct head_record one = record("a", 1, 1);
    must_add(heads, &one, 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2 * HEADSFILE_RECORD_BYTES + 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    one = record("a", 2, 2);
    assert_int_equal(heads_add(heads, &one, 1, &why), ERR_ENV);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(heads_add(heads, &one, 1, &why), ERR_ENV);
    heads_close(heads);
    heads = must_open();
    assert_int_equal(size_of(heads, "a"), 1);
    must_add(heads, &one, 1);
    heads_close(heads);
}

/* A mark suspends whoever is there, and whoever is not, until each is added again; compaction keeps that. */
static void suspended_until_added(void **state)
{
    struct why why;
    struct head_record a = record("a", 5, 100), b = record("b", 6, 300), c = record("c", 7, 200);
    struct heads *heads = must_open();
    (void)state;
    must_add(heads, &a, 1);
    must_add(heads, &b, 1);
    assert_false(heads_suspended(heads, &a.origin_hash) || heads_suspended(heads, &c.origin_hash));
    assert_int_equal(heads_suspend(heads, &why), OK);
    for (int round = 0; round < 2; round++) {
        assert_true(heads_suspended(heads, &a.origin_hash) && heads_suspended(heads, &b.origin_hash));
        assert_true(heads_suspended(heads, &c.origin_hash));
        assert_int_equal(heads_find(heads, &a.origin_hash)->head.size, 5);
        heads_close(heads);
        heads = must_open();
    }
    must_add(heads, &a, 1);
    assert_int_equal(heads_newest_s(heads), 300);
    /* So many that the next opening compacts. */
    for (int i = 0; i < 1100; i++)
        must_add(heads, &a, 1);
    for (int round = 0; round < 3; round++) {
        assert_false(heads_suspended(heads, &a.origin_hash));
        assert_true(heads_suspended(heads, &b.origin_hash) && heads_suspended(heads, &c.origin_hash));
        assert_int_equal(heads_count(heads), 2);
        heads_close(heads);
        heads = must_open();
    }
    assert_int_equal(heads_resume_others(heads, &why), OK);
    for (int round = 0; round < 2; round++) {
        assert_true(heads_suspended(heads, &b.origin_hash));
        assert_false(heads_suspended(heads, &c.origin_hash));
        heads_close(heads);
        heads = must_open();
    }
    for (int i = 0; i < 1100; i++)
        must_add(heads, &a, 1);
    heads_close(heads);
    heads = must_open();
    assert_true(heads_suspended(heads, &b.origin_hash));
    assert_false(heads_suspended(heads, &a.origin_hash) || heads_suspended(heads, &c.origin_hash));
    heads_close(heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_newest),
        cmocka_unit_test(ten_thousand_origins),
        cmocka_unit_test(torn_last_batch),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(going_back_is_refused),
        cmocka_unit_test(is_rewritten_where_most_is_superseded),
        cmocka_unit_test(damage_after_a_rewrite_is_refused),
        cmocka_unit_test(only_a_file_with_a_header_opens),
        cmocka_unit_test(a_failed_write_is_final),
        cmocka_unit_test(suspended_until_added),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
