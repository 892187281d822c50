/* STATE/built: what was added is read, whatever else the file has come to hold. */
#include "tests/unit/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/built.h"
#include "lib/sys/file.h"

static char folder[] = "/tmp/stele-built-XXXXXX", state_dir[64], file[80];
static const struct client_config config = { .state = state_dir };
static struct why why;

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state_dir, sizeof state_dir, "%s/state", folder);
    snprintf(file, sizeof file, "%s/built", state_dir);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    rmdir(state_dir);
    return rmdir(folder);
}

/* Two outputs, the second with hash `byte`, the first with the one before it. */
static enum err add(const char *first, const char *second, uint8_t byte)
{
    char *subjects[] = { span_dup_str(span_str(first)), span_dup_str(span_str(second)) };
    struct hash hashes[2];
    memset(hashes[0].b, byte - 1, sizeof hashes[0].b);
    memset(hashes[1].b, byte, sizeof hashes[1].b);
    enum err err = built_add(&config, &(struct attestation){ .subjects = subjects, .nar_hashes = hashes, .subjects_n = 2 }, &why);
    free(subjects[0]);
    free(subjects[1]);
    return err;
}

static enum err take(void *ctx, struct span path, const struct hash *nar_hash, struct why *why_not)
{
    (void)why_not;
    buf_fmt(ctx, "%.*s=%u ", SPAN_FMT(path), nar_hash->b[31]);
    return OK;
}

static void assert_read(const char *wanted)
{
    struct buf all = BUF_EMPTY;
    assert_int_equal(built_each(&config, take, &all, &why), OK);
    buf_byte(&all, '\0');
    assert_string_equal(all.data, wanted);
    buf_free(&all);
}

static void put(const char *text)
{
    assert_int_equal(file_replace(file, 0644, span_str(text), &why), OK);
}

static void test_added(void **state)
{
    (void)state;
    struct stat st;
    assert_read("");
    assert_int_equal(add("/a", "/b", 2), OK);
    assert_read("/a=1 /b=2 ");
    assert_int_equal(add("/c", "/d", 4), OK);
    assert_read("/a=1 /b=2 /c=3 /d=4 ");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 4 * (2 + 1 + 64 + 1)); /* and nothing else stands there */
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(built_add(&config, &(struct attestation){ 0 }, &why), OK);
    assert_read("/a=1 /b=2 /c=3 /d=4 ");
}

/* A line that was cut is none, and takes no later one with it. */
static void test_cut(void **state)
{
    (void)state;
    struct rlimit before, small = { .rlim_cur = 100 };
    put("");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(add("/a", "/b", 2), ERR_ENV); /* in the second one */
    assert_non_null(strstr(why.text, "No space left"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_read("/a=1 ");
    assert_int_equal(add("/c", "/d", 4), OK);
    assert_read("/a=1 /c=3 /d=4 ");
    put("/x 00");
    assert_int_equal(add("/c", "/d", 4), OK);
    assert_read("/c=3 /d=4 ");
}

static void test_no_lines(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < 200000; i++)
        buf_byte(&text, 'x');
    buf_str(&text, "\n\n/a\n/a 00\n/a ");
    for (size_t i = 0; i < 64; i++)
        buf_byte(&text, '0');
    buf_str(&text, " more\n");
    assert_int_equal(file_replace(file, 0644, span_buf(&text), &why), OK);
    assert_int_equal(add("/c", "/d", 4), OK);
    assert_read("/c=3 /d=4 ");
    buf_free(&text);
    unlink(file);
    assert_int_equal(mkdir(file, 0755), 0);
    assert_int_equal(add("/c", "/d", 4), ERR_ENV);
    assert_int_equal(built_each(&config, take, &text, &why), ERR_ENV);
    assert_int_equal(rmdir(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_added), cmocka_unit_test(test_cut), cmocka_unit_test(test_no_lines) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
