/* What lies on disk held against content addresses, by the paths that real Nix makes. */
#include "tests/unit/support.h"

#include "lib/sys/contents.h"
#include "lib/sys/nixdb.h"
#include "tests/unit/nix.h"

struct count {
    size_t fit, altered, self;
};

static bool fits(const struct nixdb_info *info, struct why *why)
{
    struct content_address address;
    struct storepath path;
    struct span self = { 0 };
    bool out;
    assert_true(content_address_parse(&address, span_str(info->ca)));
    assert_int_equal(storepath_parse(&path, span_str(info->path), why), OK);
    for (size_t i = 0; i < info->references_n; i++)
        if (strcmp(info->references[i], info->path) == 0)
            self = path.hash_part;
    assert_int_equal(contents_fit(info->path, &address, self, &out, why), OK);
    return out;
}

static enum err check_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct count *count = ctx;
    if (info->ca == NULL)
        return OK;
    if (!fits(info, why))
        print_error("%s is not what it is: %s\n", info->path, info->ca);
    else
        count->fit++;
    for (size_t i = 0; i < info->references_n; i++)
        count->self += strcmp(info->references[i], info->path) == 0;
    /* A byte that is another, and back; what is executable; a link to it. */
    setenv("P", info->path, 1);
    nix_do("chmod -R u+w \"$P\"; f=$(find \"$P\" -type f | head -n 1); cp \"$f\" \"$W/whole\"; echo x >>\"$f\"");
    count->altered += !fits(info, why);
    nix_do("f=$(find \"$P\" -type f | head -n 1); cat \"$W/whole\" >\"$f\"; chmod 755 \"$f\"");
    count->altered += !fits(info, why);
    nix_do("f=$(find \"$P\" -type f | head -n 1); chmod 644 \"$f\"; mv \"$P\" \"$W/away\"; ln -s \"$W/away\" \"$P\"");
    count->altered += !fits(info, why);
    nix_do("rm \"$P\"; mv \"$W/away\" \"$P\"");
    assert_true(fits(info, why));
    return OK;
}

static void real_nix(void **state)
{
    struct nix_env env;
    struct nixdb *db;
    struct count count = { 0 };
    struct why why = { "" };
    (void)state;
    nix_world_make();
    nix_do("echo hi >\"$W/f\" && mkdir \"$W/d\" && cp \"$W/f\" \"$W/d/a\"");
    nix_do("for h in md5 sha1 sha256 sha512; do nix-store --add-fixed $h \"$W/f\" &&"
           " nix-store --add-fixed --recursive $h \"$W/d\" \"$W/f\" || exit 1; done");
    /* One that refers to itself often, also over the ends of what is read at once. */
    nix_do("printf %s 'derivation { name = \"self\"; system = builtins.currentSystem; builder = \"/bin/sh\";"
           " x = builtins.toFile \"x\" \"x\"; args = [ \"-c\" \"for i in 1 2 3 4 5 6 7 8 9 10 11; do a=$a$a$out; done;"
           " for i in 1 2 3 4 5 6 7 8 9; do echo $i$a$a$a$x; done >$out\" ]; }' >\"$W/self.nix\"");
    nix_do("nix store make-content-addressed $(nix-build --no-out-link \"$W/self.nix\" 2>/dev/null) 2>/dev/null");
    assert_int_equal(nix_env_load(&env, NULL, &why), OK);
    assert_int_equal(nixdb_open(&db, &env, &why), OK);
    assert_int_equal(nixdb_each(db, check_path, &count, &why), OK);
    nixdb_close(db);
    nix_env_free(&env);
    /* x, the .drv, f flat four times, f and d four times each, and what was made of self and x. */
    assert_int_equal(count.fit, 16);
    assert_int_equal(count.altered, 3 * 16);
    assert_int_equal(count.self, 1);
}

static void what_is_not_there(void **state)
{
    struct content_address address;
    struct why why;
    bool out = true;
    (void)state;
    assert_true(content_address_parse(&address, span_str("fixed:md5:d41d8cd98f00b204e9800998ecf8427e")));
    assert_int_equal(contents_fit("/nowhere/at/all", &address, span_of(NULL, 0), &out, &why), ERR_ENV);
    assert_int_equal(contents_fit("/dev/null", &address, span_of(NULL, 0), &out, &why), OK); /* no file, for all that it has none */
    assert_false(out);
    address.recursive = true;
    assert_int_equal(contents_fit("/nowhere/at/all", &address, span_of(NULL, 0), &out, &why), ERR_ENV);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(real_nix, nix_world_end), cmocka_unit_test(what_is_not_there) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
