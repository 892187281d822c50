/* `stele trust`: a trust file and the policy beside it in words, and what is wrong with them. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/memory.h"
#include "client/proofs.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/trust_check.h"

struct explaining {
    const char *config_file, *file, *policy_file;
    struct client_config config;
    struct trust trust;
    struct policy policy;
    bool has_policy, json, offline;
    struct buf words; /* a sentence a line */
    json_t *findings;
    size_t mistakes, notes;
    struct http_client *client;
};

static enum err take_finding(void *ctx, bool mistake, const char *text, struct why *why)
{
    struct explaining *explaining = ctx;
    *(mistake ? &explaining->mistakes : &explaining->notes) += 1;
    json_t *object = json_pack("{s:b, s:s}", "mistake", mistake, "text", text);
    return object == NULL || json_array_append_new(explaining->findings, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

static STELE_PRINTF(3, 4) enum err found(struct explaining *explaining, bool mistake, const char *fmt, ...)
{
    struct why text, why;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text.text, sizeof text.text, fmt, args);
    va_end(args);
    return take_finding(explaining, mistake, text.text, &why);
}

static void explain_parties(struct explaining *explaining)
{
    const struct trust *trust = &explaining->trust;
    struct buf *out = &explaining->words;
    for (size_t i = 0; i < trust->parties_n; i++) {
        const struct trust_party *party = &trust->parties[i];
        if (party->cache)
            buf_fmt(out, "%.*s is a cache with the key %.*s: what it signs it served, and who built it is not known.\n",
                    SPAN_FMT(party->name), SPAN_FMT(party->nix_key.name));
        else
            buf_fmt(out, "%.*s is a builder with the key %.*s+%08x.\n", SPAN_FMT(party->name), SPAN_FMT(party->key.name),
                    (unsigned)party->key.id);
    }
    for (uint32_t i = 0; i < trust->quorum.n; i++) {
        if (!trust->quorum.nodes[i].group)
            continue;
        buf_fmt(out, "%.*s stands for ", SPAN_FMT(trust->quorum.nodes[i].name));
        trust_put_group(out, trust, i);
        buf_str(out, ".\n");
    }
    for (size_t i = 0; i < trust->revocations_n; i++) {
        const struct trust_revocation *one = &trust->revocations[i];
        struct span name = trust->parties[one->party].name;
        if (one->all)
            buf_fmt(out, "%.*s is revoked: nothing of it counts, but for what other lines say of a log.\n", SPAN_FMT(name));
        else
            buf_fmt(out, "%.*s is revoked: in the log %.*s only what it logged below index %llu counts.\n", SPAN_FMT(name),
                    SPAN_FMT(one->origin), (unsigned long long)one->from_index);
    }
}

static void explain_quorums(struct explaining *explaining)
{
    const struct trust *trust = &explaining->trust;
    struct buf *out = &explaining->words;
    for (size_t i = 0; i < trust->quorums_n; i++) {
        const struct trust_quorum *line = &trust->quorums[i];
        struct span globs = line->globs, glob;
        for (const char *join = "A path named like "; span_word(&globs, &glob); join = " or ")
            buf_fmt(out, "%s%.*s", join, SPAN_FMT(glob));
        if (line->globs.len > 0)
            buf_str(out, " needs ");
        else
            buf_str(out, trust->quorums_n > 1 ? "Every other path needs " : "Every path needs ");
        trust_put_group(out, trust, line->node);
        buf_fmt(out, " (line %u%s).\n", line->line,
                i + 1 < trust->quorums_n && line->globs.len > 0 ? "; a later line that matches goes first" : "");
    }
    for (size_t i = 0; i < trust->exempt_n; i++)
        buf_fmt(out, "A path named like %.*s passes without any attestation, where a cache named here signed it.\n",
                SPAN_FMT(trust->exempt[i]));
}

static void explain_rules(struct explaining *explaining)
{
    const struct trust *trust = &explaining->trust;
    struct buf *out = &explaining->words;
    if (!trust->backfill_accept)
        buf_str(out, "Backfills, attestations of what was built unwatched, do not count.\n");
    else if (trust->backfill_bounded)
        buf_fmt(out, "Backfills count that were logged in %.*s below index %llu.\n", SPAN_FMT(trust->backfill_origin),
                (unsigned long long)trust->backfill_before);
    else
        buf_str(out, "Backfills, attestations of what was built unwatched, count.\n");
    buf_str(out, trust->fixed_output_require ? "A path whose content is its name must be attested like any other.\n"
                                             : "A path whose content is its name needs no attestation.\n");
    buf_str(out, trust->divergence_refuse
                     ? "A path is refused where a builder that is asked attested other bytes, and while any log has not said that "
                       "none did.\n"
                     : "Where a builder that is asked attested other bytes as well, the path passes with a warning.\n");
    buf_str(out, trust->inputs_attested
                     ? "What a path was built from must satisfy this file itself, down to sources and fixed outputs.\n"
                     : "What a path was built from is not asked.\n");
}

static void explain_policy(struct explaining *explaining)
{
    const struct policy *policy = &explaining->policy;
    struct buf *out = &explaining->words;
    if (!explaining->has_policy) {
        buf_str(out, "No policy is configured: which logs and witnesses count was not looked at.\n");
        return;
    }
    for (size_t i = 0; i < policy->logs_n; i++) {
        struct span url;
        bool has_url = proofs_log_url(&explaining->config, policy, i, &url);
        buf_fmt(out, "Attestations count in the log %.*s%s%.*s.\n", SPAN_FMT(policy->logs[i].key.name),
                has_url ? ", which is asked at " : ", which is not asked: proofs come from caches",
                SPAN_FMT(has_url ? url : span_str("")));
    }
    if (policy->root >= 0)
        buf_fmt(out, "Its heads count where the witnesses `%.*s` cosigned them (%zu are named).\n",
                SPAN_FMT(policy->quorum.nodes[policy->root].name), policy->witnesses_n);
}

/* Rules of the trust file that the policy cannot serve. */
static enum err check_addresses(struct explaining *explaining)
{
    struct span url;
    enum err err = OK;
    for (size_t i = 0; i < explaining->policy.logs_n && err == OK && explaining->trust.divergence_refuse; i++)
        if (!proofs_log_url(&explaining->config, &explaining->policy, i, &url))
            err = found(explaining, true,
                        "`divergence refuse` refuses every path: it needs the word of the log %.*s, for which there is no address",
                        SPAN_FMT(explaining->policy.logs[i].key.name));
    return err;
}

/* Has the builder logged anything there, above `after`? -1: everything is asked for. */
static enum err has_logged(struct explaining *explaining, struct span base, const struct vkey *key, int64_t after, bool *out,
                           struct why *why)
{
    struct buf url = BUF_EMPTY;
    struct http_response response = { 0 };
    struct hash hash = vkey_hash(key);
    buf_fmt(&url, "%.*s/builder/", SPAN_FMT(base));
    hex_encode(&url, span_of(hash.b, sizeof hash.b));
    if (after >= 0)
        buf_fmt(&url, "?after=%lld", (long long)after);
    buf_byte(&url, '\0');
    enum err err = buf_done(&url, why);
    if (err == OK)
        err = http_get(explaining->client, (const char *)url.data, NULL, BUNDLES_BYTES_MAX, &response, why);
    if (err == OK && response.status != 200 && response.status != 404)
        err = fail(why, ERR_ENV, "%s answered with status %u", (const char *)url.data, response.status);
    *out = response.status == 200;
    http_response_free(&response);
    buf_free(&url);
    return err;
}

/* Does a revocation revoke anything that is in the log by now? */
static enum err look_up(struct explaining *explaining, const struct trust_revocation *one, size_t log, struct why *why)
{
    const struct trust_party *party = &explaining->trust.parties[one->party];
    struct span base;
    bool any = false, later = false;
    if (!proofs_log_url(&explaining->config, &explaining->policy, log, &base))
        return OK;
    enum err err = memory_ask(&explaining->config, &explaining->policy, log, explaining->client, why);
    if (err == OK)
        err = has_logged(explaining, base, &party->key, -1, &any, why);
    if (err == OK && any)
        err = has_logged(explaining, base, &party->key, (int64_t)one->from_index - 1, &later, why);
    if (err != OK)
        return found(explaining, false, "revoke %.*s: the log %.*s could not be asked: %s", SPAN_FMT(party->name),
                     SPAN_FMT(one->origin), why->text);
    if (!any)
        return found(explaining, true, "revoke %.*s: it has logged nothing in %.*s", SPAN_FMT(party->name), SPAN_FMT(one->origin));
    if (!later)
        return found(explaining, true,
                     "revoke %.*s from %llu: it has logged nothing there at this index or later yet, so that all that it logged so "
                     "far counts",
                     SPAN_FMT(party->name), (unsigned long long)one->from_index);
    return OK;
}

static enum err look_up_revocations(struct explaining *explaining, struct why *why)
{
    const struct trust *trust = &explaining->trust;
    enum err err = http_client_system_start(why);
    if (err == OK)
        err =
            http_client_new(&explaining->client, &(struct http_client_config){ .netrc_file = explaining->config.netrc_file }, why);
    for (size_t i = 0; i < trust->revocations_n && err == OK; i++)
        for (size_t log = 0; log < explaining->policy.logs_n && err == OK; log++)
            if (!trust->revocations[i].all && !trust->parties[trust->revocations[i].party].cache &&
                span_eq(trust->revocations[i].origin, explaining->policy.logs[log].key.name))
                err = look_up(explaining, &trust->revocations[i], log, why);
    return err;
}

static enum err examine(struct explaining *explaining, struct why *why)
{
    const struct trust_findings findings = { take_finding, explaining };
    const struct policy *policy = explaining->has_policy ? &explaining->policy : NULL;
    explain_parties(explaining);
    explain_quorums(explaining);
    explain_rules(explaining);
    explain_policy(explaining);
    enum err err = buf_done(&explaining->words, why);
    if (err == OK)
        err = trust_check(&explaining->trust, policy, &findings, why);
    if (err == OK && policy != NULL)
        err = policy_check_sense(policy, &findings, why);
    if (err == OK && policy != NULL)
        err = check_addresses(explaining);
    if (err == OK && policy != NULL && !explaining->offline)
        err = look_up_revocations(explaining, why);
    return err;
}

static void print_text(const struct explaining *explaining)
{
    printf("%.*s", (int)explaining->words.len, (const char *)explaining->words.data);
    for (size_t i = 0; i < json_array_size(explaining->findings); i++) {
        const json_t *finding = json_array_get(explaining->findings, i);
        printf("%s: %s\n", json_is_true(json_object_get(finding, "mistake")) ? "MISTAKE" : "note",
               json_string_value(json_object_get(finding, "text")));
    }
}

static enum err print_json(const struct explaining *explaining, struct why *why)
{
    json_t *words = json_array();
    struct span rest = span_buf(&explaining->words), line;
    while (words != NULL && span_line(&rest, &line))
        json_array_append_new(words, json_stringn((const char *)line.data, line.len));
    json_t *object = json_pack("{s:s, s:o, s:O}", "file", explaining->file, "words", words, "findings", explaining->findings);
    if (object == NULL)
        return fail(why, ERR_ENV, "out of memory");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return OK;
}

/* The file named, or the configuration's; and a policy, where one is named anywhere. */
static enum err load(struct explaining *explaining, const struct cli_args *args, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = client_config_load(&explaining->config, explaining->config_file, why);
    if (err == OK && args->n == 0 && explaining->config.trust_file == NULL)
        err = fail(why, ERR_USAGE, "name a trust file, or one in the configuration (`trust FILE`)");
    explaining->file = args->n > 0 ? args->items[0] : explaining->config.trust_file;
    if (err == OK)
        err = file_read(explaining->file, POLICY_BYTES_MAX, &text, why);
    if (err == OK)
        err = trust_parse(&explaining->trust, span_buf(&text), explaining->file, why);
    if (err == OK && explaining->policy_file != NULL) {
        free(explaining->config.policy_file);
        explaining->config.policy_file = span_dup_str(span_str(explaining->policy_file));
    }
    if (err == OK && explaining->config.policy_file != NULL) {
        err = client_policy_load(&explaining->config, &explaining->policy, why);
        explaining->has_policy = err == OK;
    }
    buf_free(&text);
    return err;
}

enum err run_trust(int argc, char **argv, struct why *why)
{
    struct explaining explaining = { .findings = json_array() };
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &explaining.config_file, NULL },
        { "--policy", "FILE", "the policy (default: the configuration's)", &explaining.policy_file, NULL },
        { "--offline", NULL, "do not ask logs what revoked builders logged", NULL, &explaining.offline },
        { "--json", NULL, "as JSON", NULL, &explaining.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 1, argc, argv, &args, why);
    if (err == OK && explaining.findings == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = load(&explaining, &args, why);
    if (err == OK)
        err = examine(&explaining, why);
    if (err == OK && explaining.json)
        err = print_json(&explaining, why);
    else if (err == OK)
        print_text(&explaining);
    if (err == OK && explaining.mistakes > 0)
        err =
            fail(why, ERR_REFUSED, "%s: %zu mistake%s", explaining.file, explaining.mistakes, explaining.mistakes == 1 ? "" : "s");
    http_client_free(explaining.client);
    json_decref(explaining.findings);
    buf_free(&explaining.words);
    trust_free(&explaining.trust);
    if (explaining.has_policy)
        policy_free(&explaining.policy);
    client_config_free(&explaining.config);
    free(args.items);
    return err;
}
