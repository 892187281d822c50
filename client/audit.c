/* `stele audit`: every valid path of a store, or of a cache, and who answers for it. Reads only. */
#include "client/audit.h"

#include <stdlib.h>

#include "client/trail_memory.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixpath.h"

/* Paths come one by one, and are judged a batch at a time. */
struct filling {
    struct audit *audit;
    struct audit_batch batch;
};

static void batch_clear(struct audit_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        local_path_free(&batch->items[i].path);
        nixdb_info_free(&batch->items[i].info);
    }
    batch->n = 0;
    arena_free(&batch->arena);
}

static enum err judge_batch(struct filling *filling, struct why *why)
{
    struct audit *audit = filling->audit;
    struct audit_batch *batch = &filling->batch;
    enum err err = audit_index(batch, why);
    if (err == OK)
        err = audit_load(audit, batch, why);
    if (err == OK && batch->n > 0)
        err = audit_gather(audit, batch, why);
    if (err == OK && batch->n > 0)
        err = audit_own_built(audit, batch, why);
    if (err == OK && audit->rehash)
        err = audit_rehash(audit, batch, why);
    if (err == OK)
        err = audit_judge(audit, batch, why);
    for (size_t i = 0; i < batch->n && err == OK; i++)
        err = audit_report_item(audit, &batch->items[i], why);
    audit->done += batch->n;
    cli_progress("auditing", audit->done, audit->total);
    batch_clear(batch);
    return err;
}

static enum err take(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct filling *filling = ctx;
    struct audit_item *item = &filling->batch.items[filling->batch.n];
    *item = (struct audit_item){ .verdict = TRUST_REFUSED };
    enum err err = nixdb_info_copy(info, &item->info, why);
    filling->batch.n += err == OK;
    return err == OK && filling->batch.n == LOOKUP_PARTS_MAX ? judge_batch(filling, why) : err;
}

static enum err take_named(struct filling *filling, const struct cli_args *args, struct why *why)
{
    enum err err = OK;
    filling->audit->total = args->n;
    for (size_t i = 0; i < args->n && err == OK; i++) {
        struct nixdb_info info;
        bool found;
        err = nixdb_path(filling->audit->local.db, args->items[i], &info, &found, why);
        if (err == OK)
            err =
                found ? take(filling, &info, why) : fail(why, ERR_REFUSED, "%s is not a valid path of this store", args->items[i]);
        nixdb_info_free(&info);
    }
    return err;
}

/* All of the store, a page at a time: while the logs are asked, the database is not held. */
static enum err take_all(struct filling *filling, struct why *why)
{
    char *after = NULL;
    size_t n = 1;
    enum err err = nixdb_count(filling->audit->local.db, &filling->audit->total, why);
    while (err == OK && n > 0) {
        size_t before = filling->batch.n;
        err = nixdb_after(filling->audit->local.db, after, LOOKUP_PARTS_MAX - 1, take, filling, why);
        n = filling->batch.n - before;
        free(after);
        after = n == 0 || err != OK ? NULL : span_dup_str(span_str(filling->batch.items[filling->batch.n - 1].info.path));
        if (n > 0 && err == OK)
            err = after == NULL ? fail(why, ERR_ENV, "out of memory") : judge_batch(filling, why);
    }
    free(after);
    return err;
}

static enum err run(struct audit *audit, const struct cli_args *args, struct why *why)
{
    struct filling filling = { .audit = audit };
    enum err err = OK;
    for (size_t i = 0; i < 6; i++)
        audit->statements[i] = (struct statement){ .claim = (enum claim)(i % 3), .inputs_recorded = i < 3 };
    audit->statements[7].foreign = true;
    filling.batch.items = calloc(LOOKUP_PARTS_MAX, sizeof *filling.batch.items);
    if (filling.batch.items == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = audit_report_start(audit, why);
    if (err == OK && audit->local.trust.inputs_attested)
        err = trail_memory_open(&audit->memory, &audit->local.config, &audit->local.policy, &audit->local.trust, why);
    if (err == OK)
        err = audit_own_load(audit, why);
    if (err == OK && audit->cache != NULL)
        err = audit_cache(audit, args->items, args->n, take, &filling, why);
    else if (err == OK)
        err = args->n > 0 ? take_named(&filling, args, why) : take_all(&filling, why);
    if (err == OK)
        err = judge_batch(&filling, why);
    if (err == OK)
        err = audit_report_end(audit, why);
    batch_clear(&filling.batch);
    free(filling.batch.items);
    free(filling.batch.slots);
    if (err != OK)
        return err;
    if (audit->not_answered > 0)
        return fail(why, ERR_ENV, "the cache %s gave no answer for %zu paths", audit->cache, audit->not_answered);
    if (audit->forked_late != NULL)
        return fail(why, ERR_REFUSED, "the log %.*s FORKED, as came out after %zu paths, which may rest on it: audit again",
                    SPAN_FMT(audit->forked_late->key.name), audit->forked_after);
    if (audit->would_refuse)
        return audit->refused == 0 ? OK : fail(why, ERR_REFUSED, "`mode enforce` would refuse %zu paths", audit->refused);
    size_t bad = audit->counts[AUDIT_UNEXPLAINED] + audit->counts[AUDIT_CONTRADICTED] + audit->counts[AUDIT_ALTERED] +
                 audit->alarms + audit->false_addresses + (audit->strict ? audit->counts[AUDIT_VOUCHED] : 0);
    return bad == 0
               ? OK
               : fail(why, ERR_REFUSED,
                      "%zu paths are unexplained, contradicted or altered%s, carry a false content address or this machine's key",
                      bad, audit->strict ? ", or only vouched for" : "");
}

/* A folder is a file:// URL; no URL ends in a slash. */
static enum err cache_url(const char *cache, struct buf *out, struct why *why)
{
    char *folder = strstr(cache, "://") == NULL ? realpath(cache, NULL) : NULL;
    if (folder == NULL && strstr(cache, "://") == NULL)
        return fail(why, ERR_ENV, "there is no folder %s", cache);
    buf_fmt(out, "%s%s", folder != NULL ? "file://" : "", folder != NULL ? folder : cache);
    while (out->len > 0 && out->data[out->len - 1] == '/')
        out->len--;
    buf_byte(out, '\0');
    free(folder);
    return buf_done(out, why);
}

enum err run_audit(int argc, char **argv, struct why *why)
{
    struct audit audit = { 0 };
    const char *config_file = NULL, *root = NULL, *cache = NULL;
    struct buf url = BUF_EMPTY;
    bool offline = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--store", "ROOT", "the store in ROOT/nix/store", &root, NULL },
        { "--cache", "DIR|URL", "a binary cache instead of the store", &cache, NULL },
        { "--rehash", NULL, "hash what lies on disk, too", NULL, &audit.rehash },
        { "--strict", NULL, "exit 1 for vouched paths, too", NULL, &audit.strict },
        { "--would-refuse", NULL, "only what `mode enforce` would refuse of it", NULL, &audit.would_refuse },
        { "--quiet", NULL, "list only what is wrong", NULL, &audit.quiet },
        { "--offline", NULL, "ask no log: own proofs only", NULL, &offline },
        { "--json", NULL, "as JSON", NULL, &audit.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (cache != NULL && audit.rehash)
        err = fail(why, ERR_USAGE, "--rehash is for a store: what a cache serves is checked when it is substituted");
    if (err == OK && cache != NULL)
        err = cache_url(cache, &url, why);
    audit.cache = (const char *)url.data;
    if (err == OK)
        err = local_open(&audit.local, config_file, root, !offline, why);
    if (err == OK)
        err = nix_paths_named(&args, 0, why);
    if (err == OK)
        err = run(&audit, &args, why);
    audit_report_free(&audit);
    audit_own_free(&audit.own);
    trail_memory_close(audit.memory);
    buf_free(&audit.troubles);
    buf_free(&url);
    local_close(&audit.local);
    free(args.items);
    return err;
}
