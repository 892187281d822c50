/* `stele audit`: every valid path of a store, and who answers for it. Reads only. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/local.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/narfs.h"

enum class { ATTESTED, ADDRESSED, EXEMPT, BUILT_HERE, VOUCHED, UNEXPLAINED, CONTRADICTED, ALTERED, CLASSES };

static const struct {
    const char *name, *meaning;
} classes[CLASSES] = {
    [ATTESTED] = { "attested", "builders whom the trust file names built exactly this" },
    [ADDRESSED] = { "content-addressed", "a source, a derivation or a fixed output: its content is its name" },
    [EXEMPT] = { "exempt", "an `exempt` line of the trust file covers it" },
    [BUILT_HERE] = { "built-here", "this store's database says that it was built here" },
    [VOUCHED] = { "vouched", "a cache of the trust file served it: who built it is not known" },
    [UNEXPLAINED] = { "unexplained", "nobody answers for it" },
    [CONTRADICTED] = { "contradicted", "somebody whom the trust file names attested other bytes for this path" },
    [ALTERED] = { "altered", "what lies on disk is not what was registered" },
};

struct audit {
    struct local local;
    bool rehash, strict, json, quiet;
    size_t counts[CLASSES], done, total;
    json_t *report;
    struct buf troubles; /* of the first path that had some */
};

static enum class classify(const struct nixdb_info *info, const struct local_verdict *verdict) {
    switch (verdict->result.verdict){
        case TRUST_ATTESTED : return ATTESTED; case TRUST_VOUCHED : return VOUCHED; case TRUST_EXEMPT : return EXEMPT;
        case TRUST_FIXED : return ADDRESSED;
        case TRUST_REFUSED : break;
    }
if (verdict->contradicted) return CONTRADICTED;
if (verdict->content_addressed)
    return ADDRESSED;
return info->ultimate ? BUILT_HERE : UNEXPLAINED;
}

static enum err altered(struct audit *audit, const struct nixdb_info *info, bool *out, struct why *detail, struct why *why)
{
    struct storepath path;
    struct hash hash;
    uint64_t size;
    *out = false;
    if (!audit->rehash || storepath_parse(&path, span_str(info->path), NULL) != OK)
        return OK;
    char *real = nix_env_real_path(&audit->local.env, path.base);
    if (real == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = nar_hash_path(real, &hash, &size, detail);
    free(real);
    if (err != OK) {
        *out = true;
    } else if (!hash_eq(&hash, &info->nar_hash) || size != info->nar_size) {
        *out = true;
        fail(detail, ERR_REFUSED, "%s", classes[ALTERED].meaning);
    }
    return OK;
}

/* One table line, or JSON object, a path. */
static enum err show(struct audit *audit, const struct nixdb_info *info, enum class class, const char *detail, struct why *why)
{
    audit->counts[class]++;
    if (audit->json) {
        json_t *object = json_pack("{s:s, s:s, s:s, s:b}", "path", info->path, "class", classes[class].name, "why", detail,
                                   "builtHere", info->ultimate);
        if (object == NULL || json_array_append_new(audit->report, object) != 0)
            return fail(why, ERR_ENV, "out of memory");
        return OK;
    }
    if (audit->quiet && class < UNEXPLAINED && !(class == VOUCHED && audit->strict))
        return OK;
    cli_progress_end();
    printf("%-17s %s: %s\n", classes[class].name, info->path, detail);
    return OK;
}

static enum err audit_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct audit *audit = ctx;
    struct local_verdict verdict;
    struct why detail;
    bool is_altered = false;
    cli_progress("auditing", audit->done++, audit->total);
    enum err err = local_judge(&audit->local, info, &verdict, why);
    if (err == OK)
        err = altered(audit, info, &is_altered, &detail, why);
    if (err == OK) {
        enum class class = is_altered ? ALTERED : classify(info, &verdict);
        bool told = class == ATTESTED || class == VOUCHED || class == EXEMPT || class == CONTRADICTED;
        const char *text = is_altered ? detail.text : told ? verdict.result.why.text : classes[class].meaning;
        if (audit->troubles.len == 0)
            buf_span(&audit->troubles, span_buf(&verdict.troubles));
        err = show(audit, info, class, text, why);
    }
    local_verdict_free(&verdict);
    return err;
}

static enum err audit_named(struct audit *audit, const struct cli_args *args, struct why *why)
{
    enum err err = OK;
    audit->total = args->n;
    for (size_t i = 0; i < args->n && err == OK; i++) {
        struct nixdb_info info;
        bool found;
        err = nixdb_path(audit->local.db, args->items[i], &info, &found, why);
        if (err == OK)
            err = found ? audit_path(audit, &info, why)
                        : fail(why, ERR_REFUSED, "%s is not a valid path of this store", args->items[i]);
        nixdb_info_free(&info);
    }
    return err;
}

static void sum_up(const struct audit *audit)
{
    if (audit->json) {
        json_dumpf(audit->report, stdout, JSON_INDENT(2));
        putchar('\n');
        return;
    }
    const char *join = "";
    printf("%zu paths: ", audit->done);
    for (size_t i = 0; i < CLASSES; i++)
        if (audit->counts[i] > 0) {
            printf("%s%zu %s", join, audit->counts[i], classes[i].name);
            join = ", ";
        }
    printf("\n");
    if (audit->troubles.len > 0)
        fprintf(stderr, "not every source could be asked:\n%.*s", SPAN_FMT(span_buf(&audit->troubles)));
}

static enum err run(struct audit *audit, const struct cli_args *args, struct why *why)
{
    enum err err = OK;
    if ((audit->report = json_array()) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK && args->n > 0)
        err = audit_named(audit, args, why);
    else if (err == OK) {
        err = nixdb_count(audit->local.db, &audit->total, why);
        if (err == OK)
            err = nixdb_each(audit->local.db, audit_path, audit, why);
    }
    cli_progress_end();
    if (err != OK)
        return err;
    sum_up(audit);
    size_t bad = audit->counts[UNEXPLAINED] + audit->counts[CONTRADICTED] + audit->counts[ALTERED] +
                 (audit->strict ? audit->counts[VOUCHED] : 0);
    return bad == 0 ? OK
                    : fail(why, ERR_REFUSED, "%zu of %zu paths have nobody who answers for them as they are", bad, audit->done);
}

enum err run_audit(int argc, char **argv, struct why *why)
{
    struct audit audit = { 0 };
    const char *config_file = NULL, *root = NULL;
    bool offline = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--store", "ROOT", "the store in ROOT/nix/store, as `nix --store ROOT` has it", &root, NULL },
        { "--rehash", NULL, "hash every path on disk again", NULL, &audit.rehash },
        { "--strict", NULL, "exit 1 for vouched paths, too", NULL, &audit.strict },
        { "--quiet", NULL, "list only what is wrong", NULL, &audit.quiet },
        { "--offline", NULL, "ask no log: own proofs only", NULL, &offline },
        { "--json", NULL, "as JSON", NULL, &audit.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = local_open(&audit.local, config_file, root, !offline, why);
    if (err == OK)
        err = run(&audit, &args, why);
    json_decref(audit.report);
    buf_free(&audit.troubles);
    local_close(&audit.local);
    free(args.items);
    return err;
}
