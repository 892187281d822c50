/* The client's configuration: every key, the defaults, where it is looked for, and what is wrong with file and line. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/config.h"
#include "lib/sys/file.h"

static char folder[] = "/tmp/stele-config.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    unsetenv("STELE_CONFIG");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = { "c", "policy", "trust", "x/stele/stele.conf", "h/.config/stele/stele.conf" };
    static const char *const folders[] = { "x/stele", "x", "h/.config/stele", "h/.config", "h", "." };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        rmdir(path);
    }
    return rmdir(folder) == 0 || access(folder, F_OK) != 0 ? 0 : -1;
}

/* Writes FOLDER/NAME; its path is in a buffer that the next call uses again. */
static const char *write_file(const char *name, const char *text)
{
    static char path[256];
    char dir[256];
    struct why why;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(dir_make(dir, 0755, &why), OK);
    assert_int_equal(file_replace(path, 0600, span_str(text), &why), OK);
    return path;
}

static enum err load(const char *text, struct client_config *config, struct why *why)
{
    return client_config_load(config, write_file("c", text), why);
}

/* `value` is FOLDER/NAME. */
static void assert_in_folder(const char *value, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_string_equal(value, path);
}

static void every_key(void **state)
{
    struct client_config config;
    struct why why;
    (void)state;
    assert_int_equal(load("# all of them\n"
                          "policy policy\ntrust sub/trust\nkey /abs/key\noutbox out box\nstate state\nsigning-key gate.key\n"
                          "netrc-file netrc\nnext-hook hooks/next\nlisten 127.0.0.1:1\nstore-dir /gnu/store\n"
                          "log http://127.0.0.1:2\nupstream https://a.example/\nupstream file:///srv/b//\n"
                          "attest acme-*\nattest b\nskip secret-*\nmode warn\nrefuse-with 451\nhook-hash-max 0\nfresh-for 60\n",
                          &config, &why),
                     OK);
    assert_in_folder(config.file, "c");
    assert_in_folder(config.policy_file, "policy");
    assert_in_folder(config.trust_file, "sub/trust");
    assert_string_equal(config.key_file, "/abs/key");
    assert_in_folder(config.outbox, "out box");
    assert_in_folder(config.state, "state");
    assert_in_folder(config.signing_key_file, "gate.key");
    assert_in_folder(config.netrc_file, "netrc");
    assert_in_folder(config.next_hook, "hooks/next");
    assert_string_equal(config.listen, "127.0.0.1:1");
    assert_string_equal(config.store_dir, "/gnu/store");
    assert_string_equal(config.log_url, "http://127.0.0.1:2");
    assert_int_equal(config.upstreams.n, 2);
    assert_string_equal(config.upstreams.items[0], "https://a.example");
    assert_string_equal(config.upstreams.items[1], "file:///srv/b");
    assert_int_equal(config.attest_globs.n, 2);
    assert_string_equal(config.attest_globs.items[1], "b");
    assert_int_equal(config.skip_globs.n, 1);
    assert_string_equal(config.skip_globs.items[0], "secret-*");
    assert_true(config.warn);
    assert_int_equal(config.refuse_with, 451);
    assert_int_equal(config.hook_hash_max_bytes, 0);
    assert_int_equal(config.fresh_for_s, 60);
    client_config_free(&config);
    assert_null(config.file);
}

static void defaults(void **state)
{
    struct client_config config;
    struct why why;
    (void)state;
    assert_int_equal(load("state s\n", &config, &why), OK);
    assert_null(config.policy_file);
    assert_null(config.key_file);
    assert_in_folder(config.outbox, "s/outbox");
    assert_string_equal(config.listen, "127.0.0.1:7382");
    assert_false(config.warn);
    assert_int_equal(config.refuse_with, 404);
    assert_int_equal(config.hook_hash_max_bytes, 64 << 20);
    assert_int_equal(config.fresh_for_s, 3600);
    client_config_free(&config);
    assert_int_equal(load("mode enforce\nrefuse-with 404\n", &config, &why), OK);
    assert_false(config.warn);
    if (geteuid() == 0) {
        assert_string_equal(config.state, "/var/lib/stele");
        assert_string_equal(config.outbox, "/var/lib/stele/outbox");
    }
    client_config_free(&config);
}

static void wrong_values(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "polciy x\n", "c line 1: unknown key `polciy`" },
        { "policy a\npolicy b\n", "c line 2: `policy` stands on line 1 already" },
        { "key\n", "c line 1: `key` has no value" },
        { "\nmode lenient\n", "c line 2: mode: lenient is neither enforce nor warn" },
        { "refuse-with 403\n", "c line 1: refuse-with: 403 is neither 404" },
        { "upstream http://a\nupstream ftp://b\n", "c line 2: upstream: ftp://b is no http://" },
        { "upstream http://a?priority=10\n",
          "c line 1: upstream: http://a?priority=10: a space is written %20 here, and what Nix" },
        { "upstream file:///my cache\n", "c line 1: upstream: file:///my cache: a space is written %20 here" },
        { "hook-hash-max 64M\n", "c line 1: hook-hash-max: 64M is not a whole number" },
        { "fresh-for -1\n", "c line 1: fresh-for: -1 is not a whole number" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_config config;
        struct why why = { "" };
        assert_int_equal(load(cases[i].text, &config, &why), ERR_MALFORMED);
        if (strstr(why.text, cases[i].why) == NULL)
            assert_string_equal(why.text, cases[i].why);
        assert_null(config.file);
    }
}

/* $STELE_CONFIG before $XDG_CONFIG_HOME before ~/.config; a file that is named must be there, one that is looked for need not. */
static void where(void **state)
{
    struct client_config config;
    struct why why;
    char path[256];
    (void)state;
    write_file("h/.config/stele/stele.conf", "listen h:1\n");
    write_file("x/stele/stele.conf", "listen x:1\n");
    snprintf(path, sizeof path, "%s/h", folder);
    setenv("HOME", path, 1);
    unsetenv("XDG_CONFIG_HOME");
    assert_int_equal(client_config_load(&config, NULL, &why), OK);
    assert_string_equal(config.listen, "h:1");
    client_config_free(&config);
    snprintf(path, sizeof path, "%s/x", folder);
    setenv("XDG_CONFIG_HOME", path, 1);
    assert_int_equal(client_config_load(&config, NULL, &why), OK);
    assert_string_equal(config.listen, "x:1");
    client_config_free(&config);
    setenv("STELE_CONFIG", write_file("c", "listen c:1\n"), 1);
    assert_int_equal(client_config_load(&config, NULL, &why), OK);
    assert_string_equal(config.listen, "c:1");
    client_config_free(&config);
    snprintf(path, sizeof path, "%s/missing", folder);
    assert_int_equal(client_config_load(&config, path, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "missing"));
    setenv("STELE_CONFIG", path, 1);
    assert_int_equal(client_config_load(&config, NULL, &why), ERR_ENV);
    unsetenv("STELE_CONFIG");
}

static void named_files(void **state)
{
    struct client_config config;
    struct policy policy;
    struct trust trust;
    struct why why;
    (void)state;
    assert_int_equal(load("state s\n", &config, &why), OK);
    assert_int_equal(client_policy_load(&config, &policy, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "no `policy FILE` in "));
    assert_int_equal(client_trust_load(&config, &trust, &why), ERR_ENV);
    assert_non_null(strstr(why.text, "no `trust FILE` in "));
    client_config_free(&config);
    assert_int_equal(load("policy policy\ntrust trust\n", &config, &why), OK);
    assert_int_equal(client_policy_load(&config, &policy, &why), ERR_ENV);
    write_file("policy", "quorum nobody\n");
    assert_int_equal(client_policy_load(&config, &policy, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "policy line 1"));
    write_file("policy", "quorum none\n");
    assert_int_equal(client_policy_load(&config, &policy, &why), OK);
    policy_free(&policy);
    write_file("trust", "nonsense\n");
    assert_int_equal(client_trust_load(&config, &trust, &why), ERR_MALFORMED);
    assert_non_null(strstr(why.text, "trust line 1"));
    client_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key), cmocka_unit_test(defaults),    cmocka_unit_test(wrong_values),
        cmocka_unit_test(where),     cmocka_unit_test(named_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
