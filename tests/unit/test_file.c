#include "tests/unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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

static void paths(void **state)
{
    (void)state;
    char *below = path_from("/folder", "a/b"), *absolute = path_from("/folder", "/a");
    assert_string_equal(below, "/folder/a/b");
    assert_string_equal(absolute, "/a");
    free(below);
    free(absolute);
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

/* Hidden ones, too. */
static size_t entries(void)
{
    DIR *dir = opendir(folder);
    size_t n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* The cheap way: a name that is taken stays as it is, and so does what a symlink leads to. */
static void create_soft(void **state)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    bool exists;
    (void)state;
    char *path = in_folder("soft");
    assert_int_equal(file_create_soft(path, 0600, span_str("one"), &exists, &why), OK);
    assert_false(exists);
    assert_int_equal(file_create_soft(path, 0600, span_str("two"), &exists, &why), OK);
    assert_true(exists);
    assert_int_equal(file_read(path, 100, &text, &why), OK);
    assert_true(span_is(span_buf(&text), "one"));
    assert_int_equal(file_remove(path, &why), OK);
    assert_int_equal(symlink("/nonexistent/elsewhere", path), 0);
    assert_int_equal(file_create_soft(path, 0600, span_str("x"), &exists, &why), OK);
    assert_true(exists);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(file_create_soft("/nonexistent/folder/x", 0600, span_str("x"), &exists, &why), ERR_ENV);
    assert_false(exists);
    buf_free(&text);
}

/* What a disk that takes no more leaves behind: in a process whose files may not grow beyond 8 bytes. */
static bool nothing_torn(void)
{
    static const char old[] = "old", large[] = "more than eight bytes";
    const struct rlimit limit = { 8, 8 };
    struct buf text = BUF_EMPTY;
    struct why why;
    bool exists;
    char *path = in_folder("full");
    if (file_create(path, 0600, span_str(old), &why) != OK || setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return false;
    size_t before = entries();
    bool refused = file_replace(path, 0600, span_str(large), &why) == ERR_ENV && strstr(why.text, "cannot write") != NULL &&
                   file_replace_soft(path, 0600, span_str(large), &why) == ERR_ENV;
    bool kept = file_read(path, 100, &text, &why) == OK && span_is(span_buf(&text), old);
    path = in_folder("fuller");
    refused = refused && file_create(path, 0600, span_str(large), &why) == ERR_ENV && access(path, F_OK) != 0 &&
              file_create_soft(path, 0600, span_str(large), &exists, &why) == ERR_ENV && !exists;
    buf_free(&text);
    return refused && kept && entries() == before;
}

static void a_full_disk(void **state)
{
    struct why why;
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        exit(nothing_torn() ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(file_remove(in_folder("full"), &why), OK);
}

static void copies(void **state)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    (void)state;
    char from[128], *to = in_folder("to");
    snprintf(from, sizeof from, "%s/from", folder);
    assert_int_equal(file_copy_if(from, to, 0600, 100, &why), OK); /* nothing is there */
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(file_create(from, 0600, span_str("text"), &why), OK);
    assert_int_equal(file_copy_if(from, to, 0600, 3, &why), ERR_ENV);
    assert_int_equal(file_copy_if(from, to, 0600, 100, &why), OK);
    assert_int_equal(file_read(to, 100, &text, &why), OK);
    assert_true(span_is(span_buf(&text), "text"));
    assert_int_equal(file_copy_if(from, to, 0600, 100, &why), ERR_ENV); /* and not over what is there */
    assert_int_equal(file_remove(from, &why), OK);
    assert_int_equal(file_remove(to, &why), OK);
    buf_free(&text);
}

/* Names without a folder are of the current one; what is no folder is told by its name. */
static void folders(void **state)
{
    static const char nowhere[] = "/nonexistent/folder";
    struct why why;
    uint64_t bytes;
    int fd, back = open(".", O_RDONLY | O_DIRECTORY);
    (void)state;
    assert_true(back >= 0);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(file_create("here", 0600, span_str("x"), &why), OK);
    assert_int_equal(dir_make("a/b", 0700, &why), OK);
    assert_int_equal(dir_make("a/b", 0700, &why), OK);
    assert_int_equal(dir_make_empty("a/b", 0700, "test", &why), OK);
    assert_int_equal(dir_make_empty("a", 0700, "test", &why), ERR_REFUSED);
    assert_string_equal(why.text, "a: the folder is not empty (b is in it): a test gets one of its own");
    assert_int_equal(fchdir(back), 0);
    close(back);
    assert_int_equal(access(in_folder("here"), F_OK), 0);
    assert_int_equal(dir_make(in_folder("here"), 0700, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "here is not a folder"));
    assert_int_equal(dir_make("/proc/nothing", 0700, &why), ERR_ENV);
    assert_int_equal(rmdir(in_folder("a/b")), 0);
    assert_int_equal(rmdir(in_folder("a")), 0);
    assert_int_equal(dir_sync_all(folder, &why), OK);
    assert_int_equal(file_sync(in_folder("here"), &why), OK);
    assert_int_equal(file_remove(in_folder("here"), &why), OK);
    assert_int_equal(file_sync(in_folder("here"), &why), ERR_ENV);
    assert_int_equal(dir_sync(nowhere, &why), ERR_ENV);
    assert_int_equal(dir_sync_all(nowhere, &why), ERR_ENV);
    assert_int_equal(dir_each(nowhere, remove_entry, NULL, &why), ERR_ENV);
    assert_int_equal(disk_free(nowhere, &bytes, &why), ERR_ENV);
    assert_non_null(strstr(why.text, nowhere));
    assert_int_equal(dir_lock(nowhere, 0, &why), ERR_ENV);
    assert_int_equal(file_lock("/nonexistent/folder/lock", &fd, &why), ERR_ENV);
    assert_false(dir_locked(nowhere));
}

static void one_process_a_folder(void **state)
{
    struct why why;
    int status;
    (void)state;
    assert_false(dir_locked(folder));
    assert_int_equal(dir_lock(folder, 0, &why), OK);
    assert_true(dir_locked(folder));
    pid_t pid = fork();
    if (pid == 0)
        _exit(dir_lock(folder, 50, &why) == ERR_ENV ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Root serves from nobody's folder but its own; what it leaves in a state folder is the folder's owner's. */
static void anothers_folder(void **state)
{
    enum { OWNER = 65534 };
    struct why why;
    struct stat st;
    char path[128], inner[160];
    int fd;
    (void)state;
    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof path, "%s/state", folder);
    assert_int_equal(dir_make(path, 0755, &why), OK);
    assert_int_equal(dir_ours(path, &why), OK);
    assert_int_equal(chown(path, OWNER, OWNER), 0);
    assert_int_equal(dir_lock(path, 0, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, path));
    snprintf(inner, sizeof inner, "%s/lock", path);
    assert_int_equal(stat(inner, &st), -1);
    assert_int_equal(file_lock(inner, &fd, &why), OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, OWNER);
    assert_int_equal(st.st_gid, OWNER);
    close(fd);
    /* What was there is given to nobody. */
    assert_int_equal(chown(inner, 0, 0), 0);
    assert_int_equal(file_lock(inner, &fd, &why), OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 0);
    close(fd);
    assert_int_equal(unlink(inner), 0);
    snprintf(inner, sizeof inner, "%s/heads", path);
    assert_int_equal(dir_make(inner, 0755, &why), OK);
    assert_int_equal(stat(inner, &st), 0);
    assert_int_equal(st.st_uid, OWNER);
    assert_int_equal(rmdir(inner), 0);
    assert_int_equal(dir_make_empty(inner, 0700, "log", &why), OK);
    assert_int_equal(stat(inner, &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(rmdir(inner), 0);
    assert_int_equal(rmdir(path), 0);
}

/* Whoever can open the file can lock it, and never let it go. */
static void a_lock_is_its_owners(void **state)
{
    struct why why;
    struct stat st;
    int fd;
    (void)state;
    assert_int_equal(file_lock(in_folder("held"), &fd, &why), OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
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
    assert_non_null(strstr(why.text, "key.pub is a public key's file"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(secret_key_load(&again, path, SIG_ED25519, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_int_equal(secret_key_load(&again, "/nonexistent/key", SIG_ED25519, &why), ERR_ENV);
    assert_int_equal(secret_key_load(&again, folder, SIG_ED25519, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "not a regular file"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_int_equal(secret_key_load(&again, path, SIG_ED25519, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "larger than a key"));
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(paths),
                                        cmocka_unit_test(create_and_replace),
                                        cmocka_unit_test(create_soft),
                                        cmocka_unit_test(a_full_disk),
                                        cmocka_unit_test(copies),
                                        cmocka_unit_test(folders),
                                        cmocka_unit_test(one_process_a_folder),
                                        cmocka_unit_test(anothers_folder),
                                        cmocka_unit_test(a_lock_is_its_owners),
                                        cmocka_unit_test(secret_keys),
                                        cmocka_unit_test(keys_from_nix) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
