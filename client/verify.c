/* `stele verify`: proof files, offline; or a path of the store, by own proofs and the logs. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "client/local.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"

struct verifying {
    const char *config_file, *root;
    struct client_config config;
    struct policy policy;
    struct trust trust;
    bool has_trust, json;
    json_t *report;
    size_t good, bad;
};

static void render_time(uint64_t time_s, char out[32])
{
    time_t time = (time_t)time_s;
    struct tm tm;
    out[0] = '\0';
    if (time_s > 0 && gmtime_r(&time, &tm) != NULL)
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Who signed, in the words of the trust file where there is one. */
static void describe_signer(const struct verifying *verifying, const struct evidence_item *item, struct buf *out)
{
    int64_t party = verifying->has_trust ? trust_builder(&verifying->trust, &item->key) : -1;
    if (party >= 0)
        buf_fmt(out, "builder %.*s (%.*s)", SPAN_FMT(verifying->trust.parties[party].name), SPAN_FMT(item->key.name));
    else
        buf_fmt(out, "%.*s%s", SPAN_FMT(item->key.name), verifying->has_trust ? " (no builder of the trust file)" : "");
}

static void print_item(const struct verifying *verifying, const char *file, const struct evidence_item *item)
{
    struct buf signer = BUF_EMPTY;
    char time[32];
    describe_signer(verifying, item, &signer);
    render_time(item->newest_time_s, time);
    printf("%s: index %llu in %s (tree of %llu), cosigned by %s%s%s\n", file, (unsigned long long)item->index, item->origin,
           (unsigned long long)item->tree_size, *item->witnesses != '\0' ? item->witnesses : "nobody (the policy wants none)",
           *time != '\0' ? " at " : "", time);
    const char *claim = item->statement.foreign ? "foreign statement" : claim_name(item->statement.claim);
    for (size_t i = 0; i < item->statement.subjects_n; i++) {
        struct buf hex = BUF_EMPTY;
        hex_encode(&hex, span_of(item->statement.subjects[i].nar_hash.b, 32));
        printf("  %.*s  sha256 %.*s  %s by %.*s\n", SPAN_FMT(item->statement.subjects[i].path), SPAN_FMT(span_buf(&hex)), claim,
               SPAN_FMT(span_buf(&signer)));
        buf_free(&hex);
    }
    buf_free(&signer);
}

static enum err report_item(struct verifying *verifying, const char *file, const struct evidence_item *item, struct why *why)
{
    json_t *subjects = json_array();
    for (size_t i = 0; i < item->statement.subjects_n; i++) {
        struct buf hex = BUF_EMPTY;
        hex_encode(&hex, span_of(item->statement.subjects[i].nar_hash.b, 32));
        struct span path = item->statement.subjects[i].path;
        json_array_append_new(subjects, json_pack("{s:s%, s:s%}", "path", path.data, path.len, "sha256", hex.data, hex.len));
        buf_free(&hex);
    }
    int64_t party = verifying->has_trust ? trust_builder(&verifying->trust, &item->key) : -1;
    struct span builder = party >= 0 ? verifying->trust.parties[party].name : span_str("");
    json_t *object =
        json_pack("{s:s, s:b, s:I, s:s, s:I, s:s, s:I, s:s%, s:o, s:s, s:o}", "file", file, "verified", true, "index",
                  (json_int_t)item->index, "origin", item->origin, "treeSize", (json_int_t)item->tree_size, "witnesses",
                  item->witnesses, "newestCosignature", (json_int_t)item->newest_time_s, "key", item->key.name.data,
                  item->key.name.len, "builder", party >= 0 ? json_stringn((const char *)builder.data, builder.len) : json_null(),
                  "claim", item->statement.foreign ? "foreign" : claim_name(item->statement.claim), "subjects", subjects);
    return object == NULL || json_array_append_new(verifying->report, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

/* Text from elsewhere may not be UTF-8, which JSON must be: then the reason is left to stderr. */
static enum err report_failure(struct verifying *verifying, const char *file, const char *reason, struct why *why)
{
    json_t *text = json_string(reason);
    json_t *object = json_pack("{s:s, s:b, s:o}", "file", file, "verified", false, "why", text != NULL ? text : json_null());
    return object == NULL || json_array_append_new(verifying->report, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

/* What the trust file says of a path, after its attestations. */
static enum err report_verdict(struct verifying *verifying, const char *path, const struct trust_result *result, struct why *why)
{
    bool passes = result->verdict != TRUST_REFUSED;
    if (!verifying->json) {
        printf("%s: %s: %s\n", path, trust_verdict_name(result->verdict), result->why.text);
        return OK;
    }
    json_t *object = json_pack("{s:s, s:b, s:s, s:s}", "path", path, "passes", passes, "verdict",
                               trust_verdict_name(result->verdict), "why", result->why.text);
    return object == NULL || json_array_append_new(verifying->report, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err take_item(struct verifying *verifying, const char *file, const struct evidence_item *item, struct why *why)
{
    if (!item->proven) {
        verifying->bad++;
        fprintf(stderr, "%s: NOT verified: %s\n", file, item->why_not.text);
        return verifying->json ? report_failure(verifying, file, item->why_not.text, why) : OK;
    }
    verifying->good++;
    if (verifying->json)
        return report_item(verifying, file, item, why);
    print_item(verifying, file, item);
    return OK;
}

static enum err verify_file(struct verifying *verifying, const char *file, struct why *why)
{
    struct evidence evidence = { 0 };
    struct buf text = BUF_EMPTY;
    enum err err = file_read(file, BUNDLES_BYTES_MAX, &text, why);
    if (err == OK && text.len == 0)
        err = fail(why, ERR_MALFORMED, "%s is empty", file);
    if (err == OK)
        err = evidence_add(&evidence, span_buf(&text), file, &verifying->policy, NULL, why);
    for (size_t i = 0; i < evidence.n && err == OK; i++)
        err = take_item(verifying, file, evidence.items[i], why);
    evidence_free(&evidence);
    buf_free(&text);
    return err;
}

/* A path of the store: as audit judges it, with each attestation shown. */
static enum err verify_path(struct verifying *verifying, const char *path, struct why *why)
{
    struct local local;
    struct local_verdict verdict = { 0 };
    struct nixdb_info info = { 0 };
    bool found = false;
    enum err err = local_open(&local, verifying->config_file, verifying->root, true, why);
    if (err == OK)
        err = nixdb_path(local.db, path, &info, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "%s is not a valid path of this store", path);
    if (err == OK)
        err = local_judge(&local, &info, &verdict, why);
    for (size_t i = 0; i < verdict.evidence.n && err == OK; i++)
        if (verdict.evidence.items[i]->proven)
            err = verifying->json ? report_item(verifying, path, verdict.evidence.items[i], why)
                                  : (print_item(verifying, path, verdict.evidence.items[i]), OK);
    if (err == OK) {
        err = report_verdict(verifying, path, &verdict.result, why);
        *(verdict.result.verdict != TRUST_REFUSED ? &verifying->good : &verifying->bad) += 1;
        fprintf(stderr, "%.*s", SPAN_FMT(span_buf(&verdict.troubles)));
    }
    local_verdict_free(&verdict);
    nixdb_info_free(&info);
    local_close(&local);
    return err;
}

static enum err verify_all(struct verifying *verifying, const struct cli_args *args, struct why *why)
{
    enum err err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&verifying->config, verifying->config_file, why);
    if (err == OK)
        err = client_policy_load(&verifying->config, &verifying->policy, why);
    if (err == OK && verifying->config.trust_file != NULL) {
        err = client_trust_load(&verifying->config, &verifying->trust, why);
        verifying->has_trust = err == OK;
    }
    if (err == OK && (verifying->report = json_array()) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < args->n && err == OK; i++)
        err = span_ends(span_str(args->items[i]), ".tlog-proof") ? verify_file(verifying, args->items[i], why)
                                                                 : verify_path(verifying, args->items[i], why);
    if (err == OK && verifying->json) {
        json_dumpf(verifying->report, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    if (err == OK && verifying->bad > 0)
        err = fail(why, ERR_REFUSED, "%zu verified, %zu not", verifying->good, verifying->bad);
    return err;
}

enum err run_verify(int argc, char **argv, struct why *why)
{
    struct verifying verifying = { 0 };
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &verifying.config_file, NULL },
        { "--store", "ROOT", "for paths: the store in ROOT/nix/store", &verifying.root, NULL },
        { "--json", NULL, "as JSON", NULL, &verifying.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = verify_all(&verifying, &args, why);
    json_decref(verifying.report);
    if (verifying.has_trust)
        trust_free(&verifying.trust);
    policy_free(&verifying.policy);
    client_config_free(&verifying.config);
    free(args.items);
    return err;
}
