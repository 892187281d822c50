#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/key.h"

static char folder[] = "/tmp/stele-file.XXXXXX";

static int make_folder(void **state)
{
    struct why why;
    (void)state;
    return mkdtemp(folder) == NULL || key_system_start(&why) != OK ? -1 : 0;
}

static enum err remove_entry(void *ctx, const char *name, struct why *why)
{
    (void)ctx;
    (void)why;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return remove(path) == 0 ? OK : ERR_ENV;
}

static int remove_folder(void **state)
{
    struct why why;
    char lock[64];
    (void)state;
    dir_each(folder, remove_entry, NULL, &why);
    snprintf(lock, sizeof lock, "%s/lock", folder);
    unlink(lock);
    return rmdir(folder);
}

static char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void create_and_replace(void **state)
{
    struct buf text = BUF_EMPTY;
    struct stat st;
    struct why why;
    bool found;
    (void)state;
    char *path = in_folder("a");
    assert_int_equal(file_read(path, 100, &text, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "there is no file"));
    assert_int_equal(file_read_if(path, 100, &text, &found, &why), OK);
    assert_false(found);
    assert_int_equal(file_create(path, 0640, span_str("one"), &why), OK);
    assert_int_equal(file_create(path, 0640, span_str("two"), &why), ERR_ENV);
    assert_non_null(strstr(why.text, "not overwritten"));
    assert_int_equal(file_replace(path, 0600, span_str("three"), &why), OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(file_read(path, 5, &text, &why), OK);
    assert_true(span_is(span_buf(&text), "three"));
    assert_int_equal(file_read(path, 4, &text, &why), ERR_ENV);
    assert_int_equal(file_remove(path, &why), OK);
    assert_int_equal(file_remove(path, &why), OK);
    /* A symlink is not followed into a secret's place. */
    assert_int_equal(symlink("/nonexistent/elsewhere", path), 0);
    assert_int_equal(file_create(path, 0600, span_str("x"), &why), ERR_ENV);
    assert_int_equal(unlink(path), 0);
    /* A folder, a device: no regular files. */
    assert_int_equal(file_read("/dev/null", 10, &text, &why), ERR_ENV);
    assert_int_equal(file_read(folder, 10, &text, &why), ERR_ENV);
    assert_int_equal(file_create("/nonexistent/folder/x", 0600, span_str("x"), &why), ERR_ENV);
    assert_non_null(strstr(why.text, "/nonexistent/folder/x"));
    buf_free(&text);
}

static void one_process_a_folder(void **state)
{
    struct why why;
    int status;
    (void)state;
    assert_int_equal(dir_lock(folder, 0, &why), OK);
    pid_t pid = fork();
    if (pid == 0)
        _exit(dir_lock(folder, 50, &why) == ERR_ENV ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void secret_keys(void **state)
{
    struct secret_key *key, *again;
    struct why why;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    struct stat st;
    (void)state;
    char path[128], public[160];
    snprintf(path, sizeof path, "%s/key", folder);
    snprintf(public, sizeof public, "%s.pub", path);
    assert_int_equal(secret_key_new(&key, span_str("a name"), SIG_ED25519, &why), ERR_MALFORMED);
    assert_int_equal(secret_key_new(&key, span_str("ci.example"), SIG_ED25519, &why), OK);
    assert_int_equal(secret_key_save(key, path, &why), OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(secret_key_save(key, path, &why), ERR_ENV);
    assert_int_equal(secret_key_load(&again, path, SIG_ED25519, &why), OK);
    secret_key_render(&first, key);
    secret_key_render(&second, again);
    assert_true(span_eq(span_buf(&first), span_buf(&second)));
    secret_key_free(again);
    assert_int_equal(secret_key_load(&again, path, SIG_COSIGNATURE, &why), ERR_MALFORMED);
    assert_int_equal(secret_key_load(&again, public, SIG_ED25519, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(secret_key_load(&again, path, SIG_ED25519, &why), ERR_ENV);
    assert_int_equal(secret_key_load(&again, "/nonexistent/key", SIG_ED25519, &why), ERR_ENV);
    assert_int_equal(unlink(path), 0);
    /* FILE is gone, but FILE.pub is not overwritten either. */
    assert_int_equal(secret_key_save(key, path, &why), ERR_ENV);
    assert_int_equal(unlink(public), 0);
    secret_key_free(key);
    buf_free(&first);
    buf_free(&second);
}

/* A Nix key is the same curve: the key taken over signs what the Nix key's public half verifies. */
static void keys_from_nix(void **state)
{
    static const char text[] =
        "cache.example-1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB5tVYuj+ZU+UB4sRLoqYunkB+FOuaVvtfg45ELrQSWZA==\n";
    struct secret_key *key;
    struct why why;
    uint8_t sig[64];
    (void)state;
    assert_int_equal(secret_key_from_nix(&key, span_str(text), span_str("ci.example"), SIG_ED25519, &why), OK);
    struct vkey vkey = secret_key_vkey(key);
    assert_int_equal(secret_key_sign(key, span_str("message"), sig, &why), OK);
    assert_true(ed25519_verify(sig, span_str("message"), vkey.key));
    secret_key_free(key);
    assert_int_equal(secret_key_from_nix(&key, span_str("cache.example-1:AAAA"), span_str("ci.example"), SIG_ED25519, &why),
                     ERR_MALFORMED);
    /* Two halves that do not fit each other. */
    char spoilt[sizeof text];
    memcpy(spoilt, text, sizeof text);
    spoilt[30] ^= 1;
    assert_int_equal(secret_key_from_nix(&key, span_str(spoilt), span_str("ci.example"), SIG_ED25519, &why), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(create_and_replace), cmocka_unit_test(one_process_a_folder),
                                        cmocka_unit_test(secret_keys), cmocka_unit_test(keys_from_nix) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
