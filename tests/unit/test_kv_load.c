/* kv_load: large values that are in memory come from the map, others from the disk, and all are what was stored. */
#define _GNU_SOURCE /* O_DIRECT */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/kv.h"

static const char *const tables[] = { "one" };
static const size_t lengths[] = { 0, 100, 2500, 4080, 4081, 8192, 300000, 1 << 20 }; /* from 2,000 or so on pages of their own */
enum { VALUES = sizeof lengths / sizeof *lengths };
static char dir[64];

static char *path_of(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static struct kv *open_kv(bool read_only)
{
    struct kv *kv = NULL;
    struct why why;
    struct kv_config config = {
        .path = dir, .tables = tables, .tables_n = 1, .map_bytes = 4 << 20, .readers_max = 4, .read_only = read_only
    };
    assert_int_equal(kv_open(&kv, &config, &why), OK);
    return kv;
}

static uint8_t byte_at(size_t value, size_t at)
{
    return (uint8_t)(at * 31 + at / 4096 * 7 + value);
}

static enum err put_values(void *ctx, struct kv_txn *txn, struct why *why)
{
    uint8_t *bytes = malloc(lengths[VALUES - 1]);
    (void)ctx;
    assert_non_null(bytes);
    for (uint8_t i = 0; i < VALUES; i++) {
        for (size_t at = 0; at < lengths[i]; at++)
            bytes[at] = byte_at(i, at);
        assert_int_equal(kv_put(txn, 0, span_of(&i, 1), span_of(bytes, lengths[i]), why), OK);
    }
    free(bytes);
    return OK;
}

static enum err put_one(void *ctx, struct kv_txn *txn, struct why *why)
{
    return kv_put(txn, 0, span_str("one"), span_str(ctx), why);
}

/* What the file has is out of memory, where its file system can do that: no process has it mapped. */
static void out_of_memory(void)
{
    int fd = open(path_of("data.mdb"), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fdatasync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

static int setup(void **state)
{
    struct why why;
    (void)state;
    strcpy(dir, "/tmp/stele-kv-load.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    struct kv *kv = open_kv(false);
    /* Pages that are given up are for what comes later, so that large values lie at the end. */
    int code = 0;
    for (char text[] = "a"; *text < 'f'; ++*text)
        code += kv_write(kv, put_one, text, &why) != OK;
    code += kv_write(kv, put_values, NULL, &why) != OK;
    kv_close(kv);
    return code;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path_of("data.mdb"));
    unlink(path_of("lock.mdb"));
    return rmdir(dir);
}

static struct span stored(struct kv_txn *txn, uint8_t value)
{
    struct span out = { NULL, 0 };
    bool found;
    struct why why;
    assert_int_equal(kv_get(txn, 0, span_of(&value, 1), &out, &found, &why), OK);
    assert_true(found && out.len == lengths[value]);
    return out;
}

/* Loads all values; how many of them did not come from the map. */
static unsigned load_all(struct kv *kv)
{
    struct kv_room room = { NULL, 0 };
    struct kv_txn txn;
    struct why why = { "" };
    unsigned read = 0;
    assert_int_equal(kv_read(kv, &txn, &why), OK);
    for (uint8_t i = 0; i < VALUES; i++) {
        struct span in_map = stored(&txn, i), value = in_map;
        assert_int_equal(kv_load(&txn, &value, &room, &why), OK);
        assert_int_equal(value.len, lengths[i]);
        size_t differ = 0;
        for (size_t at = 0; at < value.len; at++)
            differ += value.data[at] != byte_at(i, at);
        assert_int_equal(differ, 0);
        read += value.data != in_map.data;
    }
    kv_read_end(&txn);
    kv_room_free(&room);
    return read;
}

static void the_values_are_those_stored(void **state)
{
    (void)state;
    out_of_memory();
    struct kv *kv = open_kv(true);
    print_message("# %u of %d values did not come from the map\n", load_all(kv), VALUES);
    /* With all of it in memory, all come from the map. */
    char page[4096];
    int fd = open(path_of("data.mdb"), O_RDONLY);
    while (read(fd, page, sizeof page) > 0)
        ;
    close(fd);
    assert_int_equal(load_all(kv), 0);
    kv_close(kv);
    kv = open_kv(false);
    out_of_memory();
    assert_int_equal(load_all(kv), 0);
    kv_close(kv);
}

/* A map would end the process by a signal. */
static void what_the_disk_does_not_give_is_an_error(void **state)
{
    (void)state;
    int fd = open(path_of("data.mdb"), O_RDONLY | O_DIRECT);
    if (fd < 0)
        skip();
    close(fd);
    struct kv *kv = open_kv(true);
    struct kv_room room = { NULL, 0 };
    struct kv_txn txn;
    struct why why;
    assert_int_equal(kv_read(kv, &txn, &why), OK);
    struct span value = stored(&txn, VALUES - 1);
    struct stat st;
    assert_int_equal(stat(path_of("data.mdb"), &st), 0);
    assert_int_equal(truncate(path_of("data.mdb"), st.st_size - (1 << 19)), 0);
    assert_int_equal(kv_load(&txn, &value, &room, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "data.mdb"));
    kv_read_end(&txn);
    kv_close(kv);
    kv_room_free(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_values_are_those_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_disk_does_not_give_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests_name("kv_load", tests, NULL, NULL);
}
