/* `stele attest`: by hand, and therefore a backfill: only the hook, which Nix calls, ever says `build`. */
#include <stdio.h>
#include <stdlib.h>

#include "client/builder_state.h"
#include "client/outbox.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"

struct attesting {
    struct client_config config;
    struct secret_key *key;
    struct nix_env env;
    struct nixdb *db;
    uint64_t since_s;
};

/* The derivation that the database names for the path. */
static enum err attest_one(struct attesting *attesting, const char *path, struct why *why)
{
    struct nixdb_info info = { 0 };
    struct attestation attestation = { 0 };
    bool found;
    enum err err = nixdb_path(attesting->db, path, &info, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "%s is not a valid path of this store", path);
    else if (err == OK && !info.ultimate)
        err = fail(why, ERR_REFUSED,
                   "%s was not built here: this store's database does not mark it so (substituted, copied, imported or registered)",
                   path);
    else if (err == OK && info.deriver == NULL)
        err = fail(why, ERR_REFUSED, "this store does not know which derivation %s was built from", path);
    if (err == OK) {
        struct build build = {
            .db = attesting->db,
            .env = &attesting->env,
            .key = attesting->key,
            .claim = CLAIM_BACKFILL,
            .drv_path = info.deriver,
            .outputs = &path,
            .outputs_n = 1,
            .registered_after_s = attesting->since_s,
            .hash_bytes_max = UINT64_MAX,
        };
        err = build_attest(&build, &attestation, why);
    }
    if (err == OK && outbox_skips(&attesting->config, path))
        err = fail(why, ERR_REFUSED, "%s is kept out of the log by `attest` or `skip` in %s", path, attesting->config.file);
    if (err == OK)
        err = outbox_put(&attesting->config, info.deriver, &attestation, why);
    if (err == OK)
        printf("%s: a backfill waits in %s\n", path, attesting->config.outbox);
    attestation_free(&attestation);
    nixdb_info_free(&info);
    return err;
}

static enum err open_all(struct attesting *attesting, const char *config_file, bool built_here, struct why *why)
{
    enum err err = client_config_load(&attesting->config, config_file, why);
    if (err == OK && attesting->config.key_file == NULL)
        err = fail(why, ERR_ENV, "no `key FILE` in the configuration");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = secret_key_load(&attesting->key, attesting->config.key_file, SIG_ED25519, why);
    if (err == OK && !built_here)
        err = builder_state_since(&attesting->config, &attesting->since_s, why);
    if (err == OK)
        err = nix_env_load(&attesting->env, NULL, why);
    if (err == OK)
        err = nixdb_open(&attesting->db, &attesting->env, why);
    return err;
}

enum err run_attest(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL;
    bool built_here = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--built-on-this-machine", NULL, "also paths registered before this key began to build here", NULL, &built_here },
        { 0 },
    };
    struct attesting attesting = { 0 };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = open_all(&attesting, config_file, built_here, why);
    for (size_t i = 0; i < args.n && err == OK; i++)
        err = attest_one(&attesting, args.items[i], why);
    nixdb_close(attesting.db);
    nix_env_free(&attesting.env);
    secret_key_free(attesting.key);
    client_config_free(&attesting.config);
    free(args.items);
    return err;
}
