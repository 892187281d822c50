/* `stele attest`: by hand, and therefore a backfill: only the hook, which Nix calls, ever says `build`. */
#include <stdio.h>
#include <stdlib.h>

#include "client/attest.h"
#include "client/builder_state.h"
#include "client/built.h"
#include "client/counts.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixpath.h"

enum err attest_outputs(const struct attesting *attesting, struct nixdb *db, const char *drv_path, const char *const *paths,
                        size_t n, struct why *why)
{
    struct attestation attestation = { 0 };
    const struct flakeref *source = &attesting->source;
    struct build build = {
        .db = db,
        .env = &attesting->env,
        .key = attesting->key,
        .claim = CLAIM_BACKFILL,
        .drv_path = drv_path,
        .outputs = paths,
        .outputs_n = n,
        .registered_after_s = attesting->since_s,
        .hash_bytes_max = UINT64_MAX,
        .source_flake = span_buf(&source->text),
        .source_revision = attesting->revision != NULL ? span_str(attesting->revision) : source->revision,
        .source_attribute = attesting->attribute != NULL ? span_str(attesting->attribute) : source->attribute,
    };
    enum err err = build_attest(&build, &attestation, why);
    if (err == ERR_REFUSED)
        counts_add(&attesting->config, build_refusal_name(attestation.refusal), why->text, NULL);
    if (err == OK)
        err = outbox_put(&attesting->config, drv_path, &attestation, why);
    if (err == OK)
        err = built_add(&attesting->config, &attestation, why);
    attestation_free(&attestation);
    return err;
}

/* What build_attest cannot be asked: it wants a derivation. */
static enum err check_derived(const struct attesting *attesting, const char *path, const struct nixdb_info *info, bool found,
                              struct why *why)
{
    enum build_refusal refusal = !found ? REFUSAL_NOT_VALID : !info->ultimate ? REFUSAL_NOT_BUILT_HERE : REFUSAL_NO_DERIVATION;
    enum err err = OK;
    if (!found)
        err = fail(why, ERR_REFUSED, "%s is not a valid path of this store", path);
    else if (!info->ultimate)
        err = fail(why, ERR_REFUSED,
                   "%s was not built here: this store's database does not mark it so (substituted, copied, imported or registered)",
                   path);
    else if (info->deriver == NULL)
        err = fail(why, ERR_REFUSED, "this store does not know which derivation %s was built from", path);
    if (err != OK)
        counts_add(&attesting->config, build_refusal_name(refusal), why->text, NULL);
    return err;
}

/* The derivation that the database names for the path. */
static enum err attest_one(struct attesting *attesting, const char *path, struct why *why)
{
    struct nixdb_info info = { 0 };
    bool found;
    enum err err = nixdb_path(attesting->db, path, &info, &found, why);
    if (err == OK)
        err = check_derived(attesting, path, &info, found, why);
    if (err == OK && outbox_skips(&attesting->config, path))
        err = fail(why, ERR_REFUSED, "%s is kept out of the log by `attest` or `skip` in %s", path, attesting->config.file);
    if (err == OK)
        err = attest_outputs(attesting, attesting->db, info.deriver, &path, 1, why);
    if (err == OK)
        printf("%s: a backfill waits in %s\n", path, attesting->config.outbox);
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

/* The claim is always the same: who watched a build has the hook. */
static enum err check_claim(const char *claim, struct why *why)
{
    return claim == NULL || strcmp(claim, "backfill") == 0
               ? OK
               : fail(why, ERR_USAGE,
                      "by hand there is only --claim backfill: `build` is for the hook, which Nix calls, and `rebuild` for the "
                      "diff-hook");
}

static enum err read_source(struct attesting *attesting, const char *source, struct why *why)
{
    struct span revision = span_str(attesting->revision != NULL ? attesting->revision : "");
    struct span attribute = span_str(attesting->attribute != NULL ? attesting->attribute : "");
    if (source == NULL && (revision.len > 0 || attribute.len > 0))
        return fail(why, ERR_USAGE, "--revision and --attribute belong to --source FLAKEREF");
    if (!span_utf8(revision) || !span_utf8(attribute) || revision.len > FLAKEREF_BYTES_MAX || attribute.len > FLAKEREF_BYTES_MAX)
        return fail(why, ERR_USAGE, "--revision and --attribute are short texts in UTF-8");
    enum err err = source == NULL ? OK : flakeref_parse(&attesting->source, span_str(source), why);
    if (err == OK && attesting->source.left_out)
        fprintf(stderr, "logged is %.*s: user names and unknown parameters may be secrets, and the log is for ever\n",
                SPAN_FMT(span_buf(&attesting->source.text)));
    return err;
}

enum err run_attest(int argc, char **argv, struct why *why)
{
    struct attesting attesting = { 0 };
    const char *config_file = NULL, *claim = NULL, *source = NULL;
    bool built_here = false, all = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--all", NULL, "every path that was built here; broken off, it goes on where it was", NULL, &all },
        { "--claim", "CLAIM", "backfill, and nothing else", &claim, NULL },
        { "--source", "FLAKEREF", "where the derivations came from, as your word; without its secrets", &source, NULL },
        { "--revision", "REV", "of --source (default: as it says)", &attesting.revision, NULL },
        { "--attribute", "ATTR", "of --source (default: as it says)", &attesting.attribute, NULL },
        { "--built-on-this-machine", NULL, "also paths registered before this key began to build here", NULL, &built_here },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (all == (args.n > 0))
        err = fail(why, ERR_USAGE, "give paths, or --all");
    if (err == OK)
        err = check_claim(claim, why);
    if (err == OK)
        err = read_source(&attesting, source, why);
    if (err == OK)
        err = open_all(&attesting, config_file, built_here, why);
    if (err == OK)
        err = nix_paths_named(&args, 0, why);
    if (err == OK && all)
        err = attest_all(&attesting, why);
    for (size_t i = 0; i < args.n && err == OK; i++)
        err = attest_one(&attesting, args.items[i], why);
    flakeref_free(&attesting.source);
    nixdb_close(attesting.db);
    nix_env_free(&attesting.env);
    secret_key_free(attesting.key);
    client_config_free(&attesting.config);
    free(args.items);
    return err;
}
