#include "tests/unit/support.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/encode.h"
#include "lib/sys/nixdb.h"
#include "tests/unit/nix.h"

/* A store with a source, two derivations that refer to it and to each other, and what they built; $LIB and $APP. */
static void make_store(void)
{
    nix_world_make();
    nix_do(
        "printf %s 'let d = n: a: derivation ({ name = n; system = builtins.currentSystem; builder = \"/bin/sh\";"
        " PATH = \"/usr/bin:/bin\"; } // a); s = builtins.toFile \"s\" \"s\"; in rec {"
        " lib = d \"lib\" { outputs = [ \"out\" \"dev\" ]; inherit s; args = [ \"-c\" \"echo $s $out >$out; echo $out >$dev\" ]; };"
        " app = d \"app\" { inherit lib; inherit (lib) dev; args = [ \"-c\" \"mkdir $out; echo $lib $dev >$out/x\" ]; }; }'"
        " >\"$W/x.nix\"");
    char *lib = nix_run("nix-build --no-out-link \"$W/x.nix\" -A lib 2>/dev/null");
    char *app = nix_run("nix-build --no-out-link \"$W/x.nix\" -A app 2>/dev/null");
    setenv("LIB", lib, 1);
    setenv("APP", app, 1);
    free(lib);
    free(app);
}

static struct nixdb *open_db(const char *root)
{
    struct nix_env env;
    struct nixdb *db = NULL;
    struct why why = { "" };
    assert_int_equal(nix_env_load(&env, root, &why), OK);
    if (nixdb_open(&db, &env, &why) != OK)
        print_error("%s\n", why.text);
    assert_non_null(db);
    nix_env_free(&env);
    return db;
}

/* Lines of a list, as Nix's tools print it. */
static void same_lines(char *const *items, size_t n, const char *command)
{
    struct buf ours = BUF_EMPTY;
    for (size_t i = 0; i < n; i++)
        buf_fmt(&ours, "%s%s", i > 0 ? "\n" : "", items[i]);
    buf_byte(&ours, '\0');
    char *theirs = nix_run(command);
    assert_string_equal((const char *)ours.data, theirs);
    free(theirs);
    buf_free(&ours);
}

/* Every path: what we read is what nix-store says of it. */
static enum err compare_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct buf hash = BUF_EMPTY;
    char size[32];
    (void)why;
    ++*(size_t *)ctx;
    setenv("P", info->path, 1);
    same_lines(info->references, info->references_n, "nix-store -q --references \"$P\" | LC_ALL=C sort");
    buf_str(&hash, "sha256:");
    nix32_encode(&hash, span_of(info->nar_hash.b, sizeof info->nar_hash.b));
    buf_byte(&hash, '\0');
    same_lines(&(char *){ (char *)hash.data }, 1, "nix-store -q --hash \"$P\"");
    snprintf(size, sizeof size, "%llu", (unsigned long long)info->nar_size);
    same_lines(&(char *){ size }, 1, "nix-store -q --size \"$P\"");
    static char unknown[] = "unknown-deriver";
    same_lines(&(char *){ info->deriver == NULL ? unknown : info->deriver }, 1, "nix-store -q --deriver \"$P\"");
    buf_free(&hash);
    return OK;
}

static enum err stop_at_second(void *ctx, const struct nixdb_info *info, struct why *why)
{
    (void)info;
    return ++*(size_t *)ctx == 2 ? fail(why, ERR_REFUSED, "enough") : OK;
}

static void paths(void **state)
{
    struct nixdb_info info;
    struct why why = { "" };
    size_t n = 0, count;
    bool found;
    (void)state;
    make_store();
    struct nixdb *db = open_db(NULL);
    assert_int_equal(nixdb_each(db, compare_path, &n, &why), OK);
    assert_int_equal(nixdb_count(db, &count, &why), OK);
    assert_int_equal(n, 6); /* s, two .drv files, lib, lib-dev, app */
    assert_int_equal(count, n);
    n = 0;
    assert_int_equal(nixdb_each(db, stop_at_second, &n, &why), ERR_REFUSED);
    assert_string_equal(why.text, "enough");
    assert_int_equal(n, 2);

    /* Built here; a source is not, and has a content address. */
    assert_int_equal(nixdb_path(db, getenv("APP"), &info, &found, &why), OK);
    assert_true(found && info.ultimate && info.ca == NULL && info.sigs == NULL && info.registered_s > 1600000000);
    assert_int_equal(info.references_n, 2);
    nixdb_info_free(&info);
    char *source = nix_run("nix-store -q --references \"$LIB\" | grep -e '-s$'");
    assert_int_equal(nixdb_path(db, source, &info, &found, &why), OK);
    assert_true(found && !info.ultimate && info.deriver == NULL && strncmp(info.ca, "text:sha256:", 12) == 0);
    nixdb_info_free(&info);
    free(source);

    /* A path that is not valid, and one below a valid one. */
    char below[512];
    snprintf(below, sizeof below, "%s/x", getenv("APP"));
    assert_int_equal(nixdb_path(db, below, &info, &found, &why), OK);
    assert_true(!found && info.path == NULL);
    nixdb_info_free(&info);

    /* What is changed while the database is open is seen; signatures are handed on. */
    nix_do(
        "nix-store --generate-binary-cache-key test-1 \"$W/key\" \"$W/pub\" && nix store sign -k \"$W/key\" \"$APP\" 2>/dev/null");
    assert_int_equal(nixdb_path(db, getenv("APP"), &info, &found, &why), OK);
    assert_true(found && info.sigs != NULL && strncmp(info.sigs, "test-1:", 7) == 0);
    nixdb_info_free(&info);
    nixdb_close(db);
}

static void derived(void **state)
{
    struct nixdb_paths out;
    struct why why;
    (void)state;
    make_store();
    struct nixdb *db = open_db(NULL);
    char *drv = nix_run("nix-store -q --deriver \"$LIB\"");
    assert_int_equal(nixdb_derived(db, drv, &out, &why), OK);
    same_lines(out.items, out.n, /* the last registered first */
               "sqlite3 \"$NIX_STATE_DIR/db/db.sqlite\" \"select path from ValidPaths where deriver = '$(nix-store -q --deriver "
               "\"$LIB\")' order by id desc\"");
    assert_int_equal(out.n, 2);
    assert_null(out.hashes);
    nixdb_paths_free(&out);
    assert_int_equal(nixdb_derived(db, getenv("LIB"), &out, &why), OK);
    assert_int_equal(out.n, 0);
    nixdb_paths_free(&out);
    free(drv);
    nixdb_close(db);
}

/* A closure within a walk over all paths, as an audit asks for it. */
static enum err closure_within(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct nixdb_paths out;
    const char *path = info->path;
    assert_int_equal(nixdb_closure(ctx, &path, 1, &out, why), OK);
    setenv("P", path, 1);
    same_lines(out.items, out.n, "nix-store -q --requisites \"$P\" | LC_ALL=C sort");
    nixdb_paths_free(&out);
    return OK;
}

static void closures(void **state)
{
    struct nixdb_paths out;
    struct nixdb_info info;
    struct why why = { "" };
    bool found;
    (void)state;
    make_store();
    struct nixdb *db = open_db(NULL);
    const char *two[] = { getenv("APP"), getenv("LIB"), getenv("APP") };
    assert_int_equal(nixdb_closure(db, two, 3, &out, &why), OK);
    same_lines(out.items, out.n, "nix-store -q --requisites \"$APP\" \"$LIB\" | LC_ALL=C sort -u");
    assert_int_equal(out.n, 4);
    for (size_t i = 0; i < out.n; i++) {
        assert_int_equal(nixdb_path(db, out.items[i], &info, &found, &why), OK);
        assert_true(found && hash_eq(&info.nar_hash, &out.hashes[i]));
        nixdb_info_free(&info);
    }
    nixdb_paths_free(&out);
    assert_int_equal(nixdb_each(db, closure_within, db, &why), OK);
    const char *bad[] = { getenv("APP"), "/nix/store/qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1-f" };
    assert_int_equal(nixdb_closure(db, bad, 2, &out, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "qj1nyv3q9c3bh21p5yd5vxqqkpz7bfs1-f is not a valid path"));
    assert_int_equal(out.n, 0);
    assert_int_equal(nixdb_closure(db, NULL, 0, &out, &why), OK);
    assert_int_equal(out.n, 0);
    nixdb_paths_free(&out);
    /* No transaction is left open that would keep old data in sight. */
    nix_do("nix-store --delete --ignore-liveness \"$APP\" >/dev/null 2>&1");
    assert_int_equal(nixdb_closure(db, two, 1, &out, &why), ERR_REFUSED);
    nixdb_close(db);
}

static sqlite3 *open_to_write(void)
{
    char file[512];
    sqlite3 *handle;
    snprintf(file, sizeof file, "%s/var/db/db.sqlite", nix_world);
    assert_int_equal(sqlite3_open(file, &handle), SQLITE_OK);
    return handle;
}

static void run_sql(sqlite3 *handle, const char *sql)
{
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* 5,000 paths: each refers to itself, its predecessor and one far behind it. */
static void large_closure(void **state)
{
    struct nixdb_paths out;
    struct why why = { "" };
    (void)state;
    nix_world_make();
    sqlite3 *handle = open_to_write();
    run_sql(handle, "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)"
                    " insert into ValidPaths (id, path, hash, registrationTime, narSize)"
                    " select i, printf('/nix/store/%032d-p', i), printf('sha256:%064x', i), 1, 100 from n");
    run_sql(handle, "insert into Refs select id, id from ValidPaths union select id, id - 1 from ValidPaths where id > 1"
                    " union select id, id / 2 from ValidPaths where id > 1");
    sqlite3_close(handle);
    struct nixdb *db = open_db(NULL);
    const char *last = "/nix/store/00000000000000000000000000005000-p";
    assert_int_equal(nixdb_closure(db, &last, 1, &out, &why), OK);
    assert_int_equal(out.n, 5000);
    for (size_t i = 1; i < out.n; i++)
        assert_true(strcmp(out.items[i - 1], out.items[i]) < 0);
    assert_int_equal(out.hashes[4999].b[30] << 8 | out.hashes[4999].b[31], 5000);
    nixdb_paths_free(&out);
    nixdb_close(db);
}

/* A second store under a root keeps the logical store folder. */
static void store_root(void **state)
{
    struct nix_env env;
    struct nixdb_info info;
    struct why why;
    bool found;
    char root[512], expected[1024];
    (void)state;
    make_store();
    nix_do("nix copy --no-check-sigs --to \"$W/root\" \"$APP\" 2>/dev/null");
    snprintf(root, sizeof root, "%s/root", nix_world);
    struct nixdb *db = open_db(root);
    assert_int_equal(nixdb_path(db, getenv("APP"), &info, &found, &why), OK);
    assert_true(found && !info.ultimate); /* copied, not built there */
    nixdb_info_free(&info);
    nixdb_close(db);
    assert_int_equal(nix_env_load(&env, root, &why), OK);
    const char *base = strrchr(getenv("APP"), '/') + 1;
    char *real = nix_env_real_path(&env, span_str(base));
    snprintf(expected, sizeof expected, "%s/nix/store/%s", root, base);
    assert_string_equal(real, expected);
    assert_int_equal(access(real, R_OK), 0);
    assert_string_equal(env.store_dir, getenv("NIX_STORE_DIR"));
    free(real);
    nix_env_free(&env);
}

static void environment(void **state)
{
    static const struct {
        const char *value, *store_dir; /* NULL: refused */
    } cases[] = {
        { "/nix/store", "/nix/store" }, { "/a/store/", "/a/store" }, { "//a//./b/../store//", "/a/store" },
        { "/../..//a", "/a" },          { "", "/nix/store" },        { "/a/...", "/a/..." },
        { "relative/store", NULL },     { "./store", NULL },
    };
    struct nix_env env;
    struct why why;
    (void)state;
    unsetenv("NIX_STORE");
    unsetenv("NIX_STATE_DIR");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("NIX_STORE_DIR", cases[i].value, 1);
        assert_int_equal(nix_env_load(&env, NULL, &why), cases[i].store_dir != NULL ? OK : ERR_ENV);
        if (cases[i].store_dir == NULL) {
            assert_non_null(strstr(why.text, "NIX_STORE_DIR"));
            continue;
        }
        assert_string_equal(env.store_dir, cases[i].store_dir);
        assert_string_equal(env.real_store_dir, cases[i].store_dir);
        assert_string_equal(env.state_dir, "/nix/var/nix");
        nix_env_free(&env);
    }
    /* The older name counts where the newer one is not set; the state's folder is read likewise. */
    setenv("NIX_STORE_DIR", "/one", 1);
    setenv("NIX_STORE", "/two", 1);
    setenv("NIX_STATE_DIR", "/x/../state/", 1);
    assert_int_equal(nix_env_load(&env, NULL, &why), OK);
    assert_string_equal(env.store_dir, "/one");
    assert_string_equal(env.state_dir, "/state");
    nix_env_free(&env);
    unsetenv("NIX_STORE_DIR");
    assert_int_equal(nix_env_load(&env, "/r", &why), OK);
    assert_string_equal(env.store_dir, "/two");
    assert_string_equal(env.real_store_dir, "/r/nix/store");
    assert_string_equal(env.state_dir, "/r/nix/var/nix");
    nix_env_free(&env);
    setenv("NIX_STATE_DIR", "state", 1);
    assert_int_equal(nix_env_load(&env, NULL, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "NIX_STATE_DIR"));
    unsetenv("NIX_STORE");
    unsetenv("NIX_STATE_DIR");
}

static enum err try_open(struct why *why)
{
    struct nix_env env;
    struct nixdb *db;
    enum err err = nix_env_load(&env, NULL, why);
    if (err != OK)
        return err;
    err = nixdb_open(&db, &env, why);
    nix_env_free(&env);
    if (err == OK)
        nixdb_close(db);
    return err;
}

/* A hash of another kind is told with its path: nothing is compared with what it is not. */
static void other_hashes(void **state)
{
    static const char path[] = "/nix/store/00000000000000000000000000000001-p";
    const char *const roots[] = { path };
    struct nixdb_paths out;
    struct nixdb_info info;
    struct why why = { "" };
    bool found;
    (void)state;
    nix_world_make();
    sqlite3 *handle = open_to_write();
    run_sql(handle,
            "insert into ValidPaths (id, path, hash, registrationTime, narSize)"
            " values (1, '/nix/store/00000000000000000000000000000001-p', 'sha1:0123456789012345678901234567890123456789', 1, 1)");
    struct nixdb *db = open_db(NULL);
    assert_int_equal(nixdb_path(db, path, &info, &found, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "00000001-p has no SHA-256 hash"));
    assert_int_equal(nixdb_closure(db, roots, 1, &out, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "00000001-p has no SHA-256 hash"));
    run_sql(handle, "update ValidPaths set hash = printf('sha256:%064x', 1)");
    assert_int_equal(nixdb_closure(db, roots, 1, &out, &why), OK);
    assert_int_equal(out.n, 1);
    nixdb_paths_free(&out);
    nixdb_close(db);
    sqlite3_close(handle);
}

/* A database that a later Nix would have changed is told by its name, whatever is asked of it. */
static void other_schema(void **state)
{
    static const char path[] = "/nix/store/00000000000000000000000000000001-p";
    const char *const roots[] = { path };
    struct nixdb_paths out;
    struct nixdb_info info;
    struct why why = { "" };
    size_t n;
    bool found;
    (void)state;
    nix_world_make();
    sqlite3 *handle = open_to_write();
    run_sql(handle, "insert into ValidPaths (id, path, hash, registrationTime, narSize)"
                    " values (1, '/nix/store/00000000000000000000000000000001-p', printf('sha256:%064x', 1), 1, 1)");
    struct nixdb *db = open_db(NULL);
    run_sql(handle, "alter table Refs rename to Later");
    assert_int_equal(nixdb_path(db, path, &info, &found, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "var/db/db.sqlite: no such table"));
    assert_int_equal(nixdb_closure(db, roots, 1, &out, &why), ERR_ENV);
    assert_int_equal(nixdb_referrers(db, path, 10, &out, &why), ERR_ENV);
    run_sql(handle, "alter table ValidPaths rename to Now");
    assert_int_equal(nixdb_count(db, &n, &why), ERR_ENV);
    assert_int_equal(nixdb_derived(db, path, &out, &why), ERR_ENV);
    assert_int_equal(nixdb_path(db, path, &info, &found, &why), ERR_ENV);
    assert_int_equal(nixdb_closure(db, roots, 1, &out, &why), ERR_ENV);
    nixdb_close(db);
    assert_int_equal(try_open(&why), ERR_ENV); /* nor does it open */
    sqlite3_close(handle);
}

static void unopened(void **state)
{
    struct why why = { "" };
    (void)state;
    nix_world_make();
    assert_int_equal(try_open(&why), OK);
    nix_do("printf 'this is no database' >\"$W/var/db/x\" && mv \"$W/var/db/db.sqlite\" \"$W/var/db/y\"");
    assert_int_equal(try_open(&why), ERR_ENV);
    assert_non_null(strstr(why.text, "there is no Nix database"));
    nix_do("mv \"$W/var/db/x\" \"$W/var/db/db.sqlite\"");
    assert_int_equal(try_open(&why), ERR_ENV);
    assert_non_null(strstr(why.text, "not a database"));
    nix_do("rm \"$W/var/db/db.sqlite\" && mv \"$W/var/db/y\" \"$W/var/db/db.sqlite\"");
    assert_int_equal(try_open(&why), OK);
}

/* The database is in WAL mode: who may not write beside it cannot read it while nobody has it open. */
static void unprivileged(void **state)
{
    struct why why = { "" };
    int told[2], status;
    (void)state;
    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: only root can try what another user may read\n");
        skip();
    }
    make_store();
    nix_do("chmod 755 \"$W\" && rm -f \"$W\"/var/db/db.sqlite-*");
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool other = setgid(65534) == 0 && setuid(65534) == 0;
        enum err err = other ? try_open(&why) : ERR_USAGE;
        _exit(write(told[1], why.text, sizeof why.text) == sizeof why.text ? (int)err : 99);
    }
    assert_int_equal(read(told[0], why.text, sizeof why.text), sizeof why.text);
    close(told[0]);
    close(told[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ERR_ENV);
    assert_non_null(strstr(why.text, "run this as the store's owner"));
    assert_int_equal(try_open(&why), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(paths, nix_world_end),        cmocka_unit_test_teardown(derived, nix_world_end),
        cmocka_unit_test_teardown(closures, nix_world_end),     cmocka_unit_test_teardown(large_closure, nix_world_end),
        cmocka_unit_test_teardown(store_root, nix_world_end),   cmocka_unit_test(environment),
        cmocka_unit_test_teardown(other_hashes, nix_world_end), cmocka_unit_test_teardown(other_schema, nix_world_end),
        cmocka_unit_test_teardown(unopened, nix_world_end),     cmocka_unit_test_teardown(unprivileged, nix_world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
