#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "log/limits.h"
#include "log/seen.h"

/* The set against what the number of an entry gives: many runs, restarts, and files that a crash or a hand left. */

enum { MANY = 3 * SEEN_WRITE_ENTRIES + 1000, STEP = 500 }; /* SEEN_WRITE_ENTRIES is a multiple of STEP */

static char dir[64];
static struct why why;
static unsigned salt; /* another one makes other leaf hashes */
enum { CROWDED = 9 }; /* that which no builder can pay for: all begin alike */

static int setup(void **state)
{
    (void)state;
    salt = 0;
    strcpy(dir, "/tmp/stele-seen.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static enum err remove_one(void *ctx, const char *name, struct why *reason)
{
    (void)ctx;
    char *path = path_join(dir, name);
    (void)reason;
    assert_int_equal(unlink(path), 0);
    free(path);
    return OK;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(dir_each(dir, remove_one, NULL, &why), OK);
    return rmdir(dir);
}

/* Two entries in 64 begin with the same 8 bytes. */
static struct hash leaf_of(uint64_t index)
{
    char text[64];
    uint64_t first = index % 64 == 63 ? index - 1 : index;
    int len = snprintf(text, sizeof text, "%u %llu", salt, (unsigned long long)first);
    struct hash hash = sha256_of(span_of(text, (size_t)len));
    put_be64(hash.b + 8, index);
    if (salt == CROWDED)
        memset(hash.b, 0, 5);
    return hash;
}

static enum err give_leaf(void *ctx, uint64_t index, struct hash *leaf, struct why *reason)
{
    (void)ctx;
    (void)reason;
    *leaf = leaf_of(index);
    return OK;
}

static enum err is_leaf(void *ctx, uint64_t index, const struct hash *leaf, bool *is, struct why *reason)
{
    (void)ctx;
    (void)reason;
    struct hash own = leaf_of(index);
    *is = hash_eq(&own, leaf);
    return OK;
}

/* Opens over `size` entries; those that no run covers are added, as the store does. Gives how many were covered. */
static uint64_t open_over(struct seen **seen, uint64_t size)
{
    struct seen_config config = { .dir = dir, .size = size, .leaf = give_leaf };
    assert_int_equal(seen_open(seen, &config, &why), OK);
    uint64_t covered = seen_covered(*seen);
    assert_true(covered <= size);
    for (uint64_t i = covered; i < size; i++) {
        struct hash leaf = leaf_of(i);
        assert_int_equal(seen_add(*seen, &leaf, i, &why), OK);
        if (i % STEP == STEP - 1)
            assert_int_equal(seen_settle(*seen, &why), OK);
    }
    return covered;
}

/* Until the thread has written out the entries below `covered`, into one file. */
static void wait_for(struct seen *seen, uint64_t covered)
{
    do {
        usleep(1000);
        assert_int_equal(seen_settle(seen, &why), OK);
    } while (seen_covered(seen) < covered || seen_bytes(seen) >= 16 * covered + 100);
    assert_int_equal(seen_covered(seen), covered);
}

static void check(const struct seen *seen, uint64_t size, uint64_t step)
{
    for (uint64_t i = 0; i < size + 100; i += i < size && i % 64 >= 62 ? 1 : step) {
        struct hash leaf = leaf_of(i);
        uint64_t index;
        bool found;
        assert_int_equal(seen_find(seen, &leaf, is_leaf, NULL, &found, &index, &why), OK);
        assert_int_equal(found, i < size);
        if (found)
            assert_int_equal(index, i);
        leaf.b[31] ^= 1;
        assert_int_equal(seen_find(seen, &leaf, is_leaf, NULL, &found, &index, &why), OK);
        assert_false(found);
    }
}

static enum err count_one(void *ctx, const char *name, struct why *reason)
{
    (void)name;
    (void)reason;
    ++*(size_t *)ctx;
    return OK;
}

static size_t files(void)
{
    size_t n = 0;
    assert_int_equal(dir_each(dir, count_one, &n, &why), OK);
    return n;
}

static void test_few(void **state)
{
    (void)state;
    struct seen *seen;
    for (uint64_t size = 0; size < 300; size = size * 2 + 1) {
        assert_int_equal(open_over(&seen, size), 0);
        check(seen, size, 1);
        struct hash leaf = leaf_of(size + 1);
        assert_int_equal(seen_add(seen, &leaf, size + 1, &why), ERR_ENV); /* not the next */
        seen_close(seen);
    }
    assert_int_equal(files(), 0);
}

static void test_many_and_restart(void **state)
{
    (void)state;
    struct seen *seen;
    assert_int_equal(open_over(&seen, MANY), 0);
    check(seen, MANY, 7);
    seen_close(seen);
    /* What was being written out when it closed is made again; the rest is there. */
    assert_true(open_over(&seen, MANY) >= 2 * SEEN_WRITE_ENTRIES);
    check(seen, MANY, 7);
    assert_true(seen_bytes(seen) > 0);
    seen_close(seen);
    assert_true(files() <= 3);
}

static void test_crowded(void **state)
{
    (void)state;
    struct seen *seen;
    salt = CROWDED;
    open_over(&seen, SEEN_WRITE_ENTRIES + 100);
    wait_for(seen, SEEN_WRITE_ENTRIES);
    check(seen, SEEN_WRITE_ENTRIES + 100, 11);
    seen_close(seen);
}

/* A data folder that was put back from before, and other entries since. */
static void test_rolled_back(void **state)
{
    (void)state;
    struct seen *seen;
    uint64_t size = SEEN_WRITE_ENTRIES + 2 * STEP;
    open_over(&seen, size);
    wait_for(seen, SEEN_WRITE_ENTRIES);
    seen_close(seen);
    assert_int_equal(open_over(&seen, size), SEEN_WRITE_ENTRIES);
    seen_close(seen);
    assert_int_equal(open_over(&seen, 1000), 0);
    check(seen, 1000, 1);
    seen_close(seen);
    assert_int_equal(files(), 0);
    open_over(&seen, size);
    wait_for(seen, SEEN_WRITE_ENTRIES);
    seen_close(seen);
    salt = 1;
    assert_int_equal(open_over(&seen, size), 0);
    check(seen, size, 101);
    seen_close(seen);
}

/* Whatever bit of a run is wrong, or where it is cut, it is not used; and what is no run goes. */
static void test_damaged(void **state)
{
    (void)state;
    static const long places[] = { 0, 17, 31, 40, 70, 95, 96, 2000000, -1 };
    struct seen *seen;
    struct seen_config config = { .dir = dir, .size = SEEN_WRITE_ENTRIES, .leaf = give_leaf };
    char path[128], command[512];
    open_over(&seen, SEEN_WRITE_ENTRIES);
    wait_for(seen, SEEN_WRITE_ENTRIES);
    seen_close(seen);
    snprintf(path, sizeof path, "%s/0-%d", dir, SEEN_WRITE_ENTRIES);
    snprintf(command, sizeof command, "mv %s %s.kept", path, dir);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(command, sizeof command, "cp %s.kept %s", dir, path);
        assert_int_equal(system(command), 0);
        FILE *file = fopen(path, "r+");
        assert_non_null(file);
        assert_int_equal(fseek(file, places[i], places[i] < 0 ? SEEK_END : SEEK_SET), 0);
        int byte = fgetc(file);
        assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
        fputc(byte ^ 4, file);
        fclose(file);
        assert_int_equal(seen_open(&seen, &config, &why), OK);
        assert_int_equal(seen_covered(seen), 0);
        assert_int_equal(files(), 0);
        seen_close(seen);
    }
    snprintf(command, sizeof command, "mv %s.kept %s && truncate -s -16 %s && cd %s && echo x | tee 0-5 0-x 5- y >y", dir, path,
             path, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(files(), 5);
    assert_int_equal(seen_open(&seen, &config, &why), OK);
    assert_int_equal(seen_covered(seen), 0);
    assert_int_equal(files(), 0);
    seen_close(seen);
}

/* A merge that a crash ended before its sources were removed, or that only the power cut tore. */
static void test_left_over_sources(void **state)
{
    (void)state;
    struct seen *seen;
    char command[512];
    uint64_t one = SEEN_WRITE_ENTRIES, two = 2 * SEEN_WRITE_ENTRIES;
    open_over(&seen, one);
    wait_for(seen, one);
    seen_close(seen);
    snprintf(command, sizeof command, "cp %s/0-%llu %s.kept", dir, (unsigned long long)one, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(open_over(&seen, two), one);
    wait_for(seen, two);
    seen_close(seen);
    assert_int_equal(files(), 1);
    snprintf(command, sizeof command, "cp %s.kept %s/0-%llu", dir, dir, (unsigned long long)one);
    assert_int_equal(system(command), 0);
    assert_int_equal(open_over(&seen, two + STEP), two);
    assert_int_equal(files(), 1);
    check(seen, two + STEP, 1009);
    seen_close(seen);
    /* Only the sources are whole. */
    snprintf(command, sizeof command, "truncate -s 1000000 %s/0-%llu && mv %s.kept %s/0-%llu", dir, (unsigned long long)two, dir,
             dir, (unsigned long long)one);
    assert_int_equal(system(command), 0);
    assert_int_equal(open_over(&seen, two), one);
    check(seen, two, 1009);
    seen_close(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_few, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_and_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crowded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_over_sources, setup, teardown),
    };
    return cmocka_run_group_tests_name("seen", tests, NULL, NULL);
}
