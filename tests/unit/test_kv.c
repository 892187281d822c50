#include "tests/unit/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/kv.h"

static const char *const tables[] = { "one", "two" };
static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/stele-kv.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char path[96];
    const char *const names[] = { "data.mdb", "lock.mdb" };
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct kv *open_kv(uint64_t map_bytes, unsigned readers_max)
{
    struct kv *kv = NULL;
    struct why why = { "" };
    struct kv_config config = { .path = dir, .tables = tables, .tables_n = 2, .map_bytes = map_bytes, .readers_max = readers_max };
    if (kv_open(&kv, &config, &why) != OK)
        print_message("# %s\n", why.text);
    return kv;
}

/* Puts `n` values of `len` bytes under keys "k00000…" from `from` on. */
struct fill {
    unsigned from, n, runs;
    size_t len;
    enum err end; /* what the body returns */
};

static enum err fill_body(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct fill *fill = ctx;
    fill->runs++;
    char *value = malloc(fill->len + 1);
    assert_non_null(value);
    enum err err = OK;
    for (unsigned i = fill->from; i < fill->from + fill->n && err == OK; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%08u", i);
        memset(value, 'a' + (int)(i % 26), fill->len);
        err = kv_put(txn, 0, span_str(key), span_of(value, fill->len), why);
    }
    free(value);
    return err != OK ? err : fill->end;
}

static enum err fill(struct kv *kv, struct fill *what)
{
    struct why why;
    return kv_write(kv, fill_body, what, &why);
}

static bool has(struct kv *kv, unsigned i, size_t len)
{
    struct kv_txn txn;
    struct why why;
    struct span value;
    bool found;
    char key[16];
    snprintf(key, sizeof key, "k%08u", i);
    assert_int_equal(kv_read(kv, &txn, &why), OK);
    assert_int_equal(kv_get(&txn, 0, span_str(key), &value, &found, &why), OK);
    bool right = found && value.len == len && (len == 0 || value.data[len - 1] == 'a' + i % 26);
    kv_read_end(&txn);
    return right;
}

static void test_persists_and_aborts(void **state)
{
    (void)state;
    struct kv *kv = open_kv(1 << 20, 8);
    assert_non_null(kv);
    assert_int_equal(fill(kv, &(struct fill){ .n = 100, .len = 50 }), OK);
    assert_int_equal(fill(kv, &(struct fill){ .from = 100, .n = 5, .len = 50, .end = ERR_REFUSED }), ERR_REFUSED);
    assert_true(has(kv, 99, 50));
    assert_false(has(kv, 100, 50));
    assert_false(kv_dead(kv, NULL));
    kv_close(kv);
    kv = open_kv(1 << 20, 8);
    assert_non_null(kv);
    assert_true(has(kv, 0, 50));
    assert_true(has(kv, 99, 50));
    assert_false(has(kv, 100, 50));
    assert_true(kv_used_bytes(kv) > 4096);
    kv_close(kv);
}

static atomic_bool reading;

static void *read_all_the_time(void *ctx)
{
    while (atomic_load(&reading))
        if (!has(ctx, 0, 1000))
            return ctx;
    return NULL;
}

static void test_grows_under_readers(void **state)
{
    (void)state;
    struct kv *kv = open_kv(1, 8);
    assert_non_null(kv);
    struct fill first = { .n = 1, .len = 1000 };
    assert_int_equal(fill(kv, &first), OK);
    atomic_store(&reading, true);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, kv), 0);
    unsigned runs = 0;
    for (unsigned i = 0; i < 8; i++) {
        struct fill more = { .from = 1 + i * 500, .n = 500, .len = 1000 };
        assert_int_equal(fill(kv, &more), OK);
        runs += more.runs;
    }
    atomic_store(&reading, false);
    for (size_t i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(runs > 8); /* the map was full at least once */
    for (unsigned i = 0; i < 4001; i++)
        assert_true(has(kv, i, 1000));
    kv_close(kv);
}

struct pairs {
    const char *const *keys;
    size_t n;
};

static enum err pairs_body(void *ctx, struct kv_txn *txn, struct why *why)
{
    const struct pairs *pairs = ctx;
    for (size_t i = 0; i < pairs->n; i++)
        if (kv_put(txn, 1, span_str(pairs->keys[i]), span_of("", 0), why) != OK)
            return ERR_ENV;
    return kv_delete(txn, 1, span_str("not there"), why);
}

static void expect_next(struct kv_cursor *cursor, const char *want)
{
    struct span key, value;
    struct why why;
    bool found;
    assert_int_equal(kv_cursor_next(cursor, &key, &value, &found, &why), OK);
    assert_int_equal(found, want != NULL);
    if (want != NULL)
        assert_true(span_is(key, want));
}

static void expect_floor(struct kv_txn *txn, const char *at, const char *want)
{
    struct span key, value;
    struct why why;
    bool found;
    assert_int_equal(kv_floor(txn, 1, span_str(at), &key, &value, &found, &why), OK);
    assert_int_equal(found, want != NULL);
    if (want != NULL)
        assert_true(span_is(key, want));
}

static void test_cursor_and_floor(void **state)
{
    (void)state;
    static const char *const keys[] = { "a1", "a2", "b", "b1", "b3", "c" };
    struct kv *kv = open_kv(1 << 20, 8);
    struct why why;
    assert_int_equal(kv_write(kv, pairs_body, &(struct pairs){ keys, 6 }, &why), OK);
    struct kv_txn txn;
    struct kv_cursor cursor;
    assert_int_equal(kv_read(kv, &txn, &why), OK);
    assert_int_equal(kv_cursor_open(&cursor, &txn, 1, span_str("b1"), 1, &why), OK);
    expect_next(&cursor, "b1");
    expect_next(&cursor, "b3");
    expect_next(&cursor, NULL);
    kv_cursor_close(&cursor);
    assert_int_equal(kv_cursor_open(&cursor, &txn, 1, span_str("b2"), 1, &why), OK);
    expect_next(&cursor, "b3");
    kv_cursor_close(&cursor);
    assert_int_equal(kv_cursor_open(&cursor, &txn, 1, span_str(""), 0, &why), OK);
    for (size_t i = 0; i < 6; i++)
        expect_next(&cursor, keys[i]);
    expect_next(&cursor, NULL);
    kv_cursor_close(&cursor);
    expect_floor(&txn, "a", NULL);
    expect_floor(&txn, "a1", "a1");
    expect_floor(&txn, "a9", "a2");
    expect_floor(&txn, "zz", "c");
    kv_read_end(&txn);
    kv_close(kv);
}

static enum err append_body(void *ctx, struct kv_txn *txn, struct why *why)
{
    return kv_append(txn, 1, span_str(ctx), span_of("v", 1), why);
}

static void test_dead_after_an_error(void **state)
{
    (void)state;
    struct why why;
    char low[] = "a", high[] = "b", higher[] = "c";
    struct kv *kv = open_kv(1 << 20, 8);
    assert_int_equal(fill(kv, &(struct fill){ .n = 1, .len = 10 }), OK);
    assert_int_equal(kv_write(kv, append_body, high, &why), OK);
    assert_int_equal(kv_write(kv, append_body, low, &why), ERR_ENV);
    assert_true(kv_dead(kv, &why));
    assert_int_equal(kv_write(kv, append_body, higher, &why), ERR_ENV);
    assert_true(has(kv, 0, 10)); /* reading goes on */
    kv_close(kv);
    kv = open_kv(1 << 20, 8);
    assert_int_equal(kv_write(kv, append_body, higher, &why), OK);
    kv_kill(kv, &(struct why){ "told so" });
    assert_int_equal(kv_write(kv, append_body, higher, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "told so"));
    kv_close(kv);
}

/* A commit that cannot be written is the last one, though LMDB would take the next. */
static void test_dead_after_a_failed_commit(void **state)
{
    (void)state;
    struct rlimit before, small = { 64 << 10, 0 };
    struct kv *kv = open_kv(8 << 20, 8);
    assert_int_equal(fill(kv, &(struct fill){ .n = 1, .len = 10 }), OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(fill(kv, &(struct fill){ .from = 1, .n = 500, .len = 1000 }), ERR_ENV);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_true(kv_dead(kv, NULL));
    assert_int_equal(fill(kv, &(struct fill){ .from = 1, .n = 1, .len = 10 }), ERR_ENV);
    kv_close(kv);
    kv = open_kv(8 << 20, 8);
    assert_true(has(kv, 0, 10));
    assert_false(has(kv, 1, 1000));
    assert_int_equal(fill(kv, &(struct fill){ .from = 1, .n = 500, .len = 1000 }), OK);
    assert_true(has(kv, 500, 1000));
    kv_close(kv);
}

/* A process that opens the store, reads if it is told to, says so, and waits to be killed. */
static pid_t start_reader(bool reads)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct kv_txn txn;
        struct why why;
        struct kv *kv = open_kv(1 << 20, 1);
        if (kv == NULL || (reads && kv_read(kv, &txn, &why) != OK) || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void test_slots_of_dead_readers(void **state)
{
    (void)state;
    /* The first process keeps the lock file in use, or opening it alone would clear it. There is one slot. */
    pid_t holder = start_reader(false), reader = start_reader(true);
    int status;
    kill(reader, SIGKILL);
    waitpid(reader, &status, 0);
    struct kv *kv = open_kv(1 << 20, 1);
    assert_non_null(kv);
    struct kv_txn txn;
    struct why why;
    enum err err = kv_read(kv, &txn, &why);
    kv_read_end(&txn);
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    assert_int_equal(err, OK);
    kv_close(kv);
}

static void test_open_fails(void **state)
{
    (void)state;
    struct kv *kv;
    struct why why;
    struct kv_config config = {
        .path = "/nowhere/at/all", .tables = tables, .tables_n = 2, .map_bytes = 1 << 20, .readers_max = 8
    };
    assert_int_equal(kv_open(&kv, &config, &why), ERR_ENV);
    assert_null(kv);
    assert_non_null(strstr(why.text, "/nowhere/at/all"));
}

/* What is in place of a database's file: none and an empty one are fine, the rest is told by its name. */
static void test_check_of_no_file(void **state)
{
    (void)state;
    static const char text[] = "this is no database, but longer than one page of it would be";
    struct why why;
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), OK);
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
    assert_int_equal(kv_check(dir, KV_VALUES_LARGE, &why), OK);
    int fd = open(path, O_WRONLY);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    close(fd);
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "data.mdb is damaged"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "cannot read"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("data.mdb", path), 0); /* to itself */
    assert_int_equal(kv_check(dir, KV_VALUES_SMALL, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "cannot open"));
    assert_int_equal(unlink(path), 0);
}

static uint64_t count_all(struct kv *kv)
{
    struct kv_txn txn;
    struct why why = { "" };
    uint64_t count = 0;
    bool ok = kv_read(kv, &txn, &why) == OK && kv_count(&txn, 0, &count, &why) == OK;
    kv_read_end(&txn);
    return ok ? count : UINT64_MAX;
}

/* In a process of its own: LMDB wants an environment opened once in each. Its exit status counts what went wrong. */
static int read_beside(const char *copy_path, int go, int ready)
{
    struct kv *kv = NULL, *copy = NULL;
    struct why why = { "" };
    struct kv_config config = {
        .path = dir, .tables = tables, .tables_n = 2, .map_bytes = 1 << 16, .readers_max = 8, .read_only = true
    };
    char byte = 0;
    int wrong = kv_open(&kv, &config, &why) != OK || count_all(kv) != 3;
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        return 100;
    wrong += kv_copy(kv, copy_path, &why) != OK; /* the map has grown since it was opened */
    wrong += count_all(kv) != 203;
    struct fill fill = { .from = 300, .n = 1, .len = 1 };
    wrong += kv_write(kv, fill_body, &fill, &why) != ERR_ENV || kv_dead(kv, &why);
    wrong += kv_copy(kv, copy_path, &why) != ERR_ENV; /* there is one */
    kv_close(kv);
    config.path = copy_path;
    wrong += kv_open(&copy, &config, &why) != OK || count_all(copy) != 203;
    kv_close(copy);
    return wrong;
}

/* Another process reads beside the writer, follows the map's growth, writes nothing; and copies one snapshot. */
static void reads_beside_and_copies(void **state)
{
    (void)state;
    struct kv *kv = open_kv(1 << 16, 8);
    struct why why = { "" };
    struct fill fill = { .from = 0, .n = 3, .len = 100 };
    char copy_path[96], byte = 0;
    int go[2], ready[2], status;
    snprintf(copy_path, sizeof copy_path, "%s.copy", dir);
    assert_int_equal(mkdir(copy_path, 0700), 0);
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(kv_write(kv, fill_body, &fill, &why), OK);
    pid_t child = fork();
    if (child == 0)
        _exit(read_beside(copy_path, go[0], ready[1]));
    assert_int_equal(read(ready[0], &byte, 1), 1);
    fill = (struct fill){ .from = 3, .n = 200, .len = 4000 };
    assert_int_equal(kv_write(kv, fill_body, &fill, &why), OK);
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    kv_close(kv);
    char path[128];
    const char *const names[] = { "data.mdb", "lock.mdb", "" };
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", copy_path, names[i]);
        remove(path);
    }
    for (size_t i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_persists_and_aborts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grows_under_readers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cursor_and_floor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_after_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_after_a_failed_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slots_of_dead_readers, setup, teardown),
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test_setup_teardown(test_check_of_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_beside_and_copies, setup, teardown),
    };
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
