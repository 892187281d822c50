/* `stele why`: the whole reasoning for one path, as the gate would go about it now, and what it said last. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/gather.h"
#include "client/judge_trail.h"
#include "client/memory.h"
#include "client/trail_follow.h"
#include "client/verbs.h"
#include "client/why_last.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixenv.h"
#include "lib/sys/nixpath.h"

struct inquiry {
    struct client_config config;
    struct judge judge;
    struct nix_env nix;
    const char *dir;
    struct http_client *client;
    char hash_part[HASH_PART_LEN + 1];
    bool passed;   /* some upstream's path passes */
    bool found;    /* some upstream has it */
    size_t silent; /* so many upstreams gave no answer */
    bool json;
    json_t *report; /* one object an upstream */
    struct evidence_heads heads;
};

/* PATH may be what names a store path for Nix, its base name, or its hash part alone. */
static enum err take_path(struct inquiry *inquiry, const char *text, struct why *why)
{
    struct storepath path;
    struct span part = span_str(text);
    char *named = NULL;
    enum err err = OK;
    if (storepath_parse_base(&path, part, NULL) == OK)
        part = path.hash_part;
    else if (!storepath_hash_part_ok(part) && (err = nix_path_named(text, &named, why)) == OK &&
             storepath_parse(&path, span_str(named), NULL) == OK)
        part = path.hash_part;
    if (err == OK && !storepath_hash_part_ok(part))
        err = fail(why, ERR_USAGE, "%s is no store path: give it whole, as in /nix/store/…-name", text);
    if (err == OK)
        memcpy(inquiry->hash_part, part.data, HASH_PART_LEN);
    free(named);
    return err;
}

static json_t *text_of(struct span text)
{
    json_t *string = json_stringn((const char *)text.data, text.len);
    return string != NULL ? string : json_null(); /* text from elsewhere may not be UTF-8 */
}

static json_t *lines_of(struct span text)
{
    json_t *list = json_array();
    struct span line;
    while (list != NULL && span_line(&text, &line)) {
        while (span_skip(&line, " "))
            continue;
        json_array_append_new(list, text_of(line));
    }
    return list;
}

/* Every attestation that was found: what it is, whether it counts, and why not. */
static json_t *attestations_of(const struct inquiry *inquiry, const struct judge_verdict *verdict)
{
    json_t *list = json_array();
    for (size_t i = 0; i < verdict->evidence.n && list != NULL; i++) {
        const struct evidence_item *item = verdict->evidence.items[i];
        bool counts = verdict->counts != NULL && verdict->counts[i];
        const char *reason = !item->proven ? item->why_not.text : verdict->reasons != NULL ? verdict->reasons[i] : "";
        json_t *object = json_pack("{s:s, s:b, s:b, s:o, s:I}", "source", item->source, "proven", item->proven, "counts", counts,
                                   "why", text_of(span_str(reason)), "index", (json_int_t)item->index);
        if (object != NULL && item->proven) {
            int64_t party = trust_builder(&inquiry->judge.trust, &item->key);
            json_object_set_new(object, "key", text_of(item->key.name));
            json_object_set_new(object, "builder", party >= 0 ? text_of(inquiry->judge.trust.parties[party].name) : json_null());
            json_object_set_new(object, "claim",
                                json_string(item->statement.foreign ? "foreign" : claim_name(item->statement.claim)));
            json_object_set_new(object, "origin", text_of(span_str(item->origin)));
            json_object_set_new(object, "treeSize", json_integer((json_int_t)item->tree_size));
            json_object_set_new(object, "witnesses", text_of(span_str(item->witnesses)));
        }
        json_array_append_new(list, object != NULL ? object : json_null());
    }
    return list;
}

static enum err add_object(struct inquiry *inquiry, json_t *object, struct why *why)
{
    return object == NULL || json_array_append_new(inquiry->report, object) != 0 ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err show(struct inquiry *inquiry, const char *upstream, const struct judge_verdict *verdict,
                     const struct gathered *gathered, struct why *why)
{
    if (!inquiry->json) {
        printf("%s\n%.*s%.*s", upstream, (int)verdict->tree.len, (const char *)verdict->tree.data, (int)gathered->troubles.len,
               (const char *)gathered->troubles.data);
        return OK;
    }
    struct buf by = BUF_EMPTY;
    const struct trust_quorum *quorum = verdict->result.quorum;
    json_t *caches = json_array();
    for (size_t i = 0; i < verdict->sigs_n && caches != NULL; i++)
        json_array_append_new(caches, text_of(verdict->sigs[i].name));
    judge_summary(&by, &inquiry->judge, verdict);
    json_t *object = json_pack("{s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "upstream", upstream, "found",
                               true, "passes", verdict->passes, "byWarning", verdict->by_warning, "verdict",
                               trust_verdict_name(verdict->result.verdict), "why", text_of(span_str(verdict->why.text)), "by",
                               text_of(span_buf(&by)), "quorum",
                               quorum != NULL ? text_of(inquiry->judge.trust.quorum.nodes[quorum->node].name) : json_null(),
                               "attestations", attestations_of(inquiry, verdict), "cacheSignatures", caches, "wouldPassWith",
                               lines_of(span_buf(&verdict->advice)), "troubles", lines_of(span_buf(&gathered->troubles)),
                               "reasoning", text_of(span_buf(&verdict->tree)));
    buf_free(&by);
    return add_object(inquiry, object, why);
}

/* This cache does not have it, or gives no answer. */
static enum err show_absent(struct inquiry *inquiry, const char *upstream, const char *text, struct why *why)
{
    if (inquiry->json)
        return add_object(inquiry,
                          json_pack("{s:s, s:b, s:b, s:o}", "upstream", upstream, "found", false, "passes", false, "why",
                                    text_of(span_str(text))),
                          why);
    printf("%s\n  %s\n", upstream, text);
    return OK;
}

/* What the proofs show goes through the memory first, so that a fork speaks against all of them. */
static enum err remember(struct inquiry *inquiry, const struct gathered *gathered, struct why *why)
{
    struct evidence evidence = { .heads = &inquiry->heads };
    enum err err = OK;
    for (size_t i = 0; i < gathered->n && err == OK; i++)
        err = evidence_add(&evidence, gathered->sources[i].bundles, gathered->sources[i].name, &inquiry->judge.policy, NULL, why);
    evidence_free(&evidence);
    memory_show(&inquiry->config, &inquiry->heads, NULL);
    return err;
}

/* `inputs attested`: the trail of this upstream's path, for the judge. */
static enum err follow_inputs(struct inquiry *inquiry, struct gathered *gathered, struct judge_trail *trail, struct why *why)
{
    struct trail_sources sources = {
        .config = &inquiry->config, .policy = &inquiry->judge.policy, .trust = &inquiry->judge.trust, .client = inquiry->client
    };
    enum trail_state state;
    enum err err = judge_trail_start(trail, &inquiry->judge, NULL, &inquiry->config, span_buf(&gathered->narinfo),
                                     span_str(inquiry->dir), why);
    for (size_t i = 0; err == OK && trail->trail != NULL && i < gathered->n; i++)
        err = trail_feed_proofs(trail->trail, span_str(""), gathered->sources[i].bundles, gathered->sources[i].name, why);
    if (err == OK && trail->trail != NULL)
        err = trail_follow(&sources, trail->trail, &state, NULL, &gathered->troubles, why);
    inquiry->judge.inputs = judge_trail_inputs(trail, span_buf(&gathered->narinfo));
    return err;
}

static enum err ask_upstream(struct inquiry *inquiry, const char *upstream, struct why *why)
{
    struct gathered gathered = { 0 };
    struct judge_verdict verdict = { 0 };
    struct judge_trail trail = { 0 };
    struct why trouble;
    struct span hash_part = span_str(inquiry->hash_part);
    bool found = false;
    enum err err = gather_narinfo(&gathered, inquiry->client, upstream, hash_part, &found, &trouble);
    inquiry->silent += err == ERR_ENV;
    inquiry->found |= found || err == ERR_MALFORMED;
    if (err != OK || !found) {
        err = show_absent(inquiry, upstream, err != OK ? trouble.text : "this cache does not have it", why);
        goto out;
    }
    err = gather_own(&gathered, &inquiry->config, hash_part, why);
    if (err == OK)
        err = gather_sidecar(&gathered, inquiry->client, upstream, hash_part, why);
    if (err == OK)
        err = gather_logs(&gathered, inquiry->client, &inquiry->config, &inquiry->judge.policy, &inquiry->judge.trust, hash_part,
                          why);
    if (err == OK)
        err = remember(inquiry, &gathered, why);
    if (err == OK && inquiry->judge.trust.inputs_attested)
        err = follow_inputs(inquiry, &gathered, &trail, why);
    struct judge_question question = { .narinfo = span_buf(&gathered.narinfo),
                                       .dir = span_str(inquiry->dir),
                                       .hash_part = hash_part,
                                       .sources = gathered.sources,
                                       .n = gathered.n,
                                       .looked_up = gathered.looked_up,
                                       .heads = &inquiry->heads };
    if (err == OK)
        err = judge_narinfo(&inquiry->judge, &question, &verdict, why);
    if (err == OK) {
        err = show(inquiry, upstream, &verdict, &gathered, why);
        inquiry->passed |= verdict.passes;
    }
out:
    judge_verdict_free(&verdict);
    judge_trail_free(&trail);
    gathered_free(&gathered);
    return err;
}

/* Nothing passes: that is the answer, unless it could not be asked for. */
static enum err conclude(const struct inquiry *inquiry, struct why *why)
{
    if (inquiry->found)
        return fail(why, ERR_REFUSED, "the gate refuses this path");
    if (inquiry->config.upstreams.n == 0)
        return fail(why, ERR_ENV, "no `upstream URL` in the configuration: the gate has no cache to take it from");
    if (inquiry->silent > 0)
        return fail(why, ERR_ENV, "of %zu upstream caches %zu gave no answer, and no other has this path",
                    inquiry->config.upstreams.n, inquiry->silent);
    return fail(why, ERR_REFUSED, "no upstream cache has this path");
}

static enum err inquire(struct inquiry *inquiry, const char *path, struct why *why)
{
    struct http_client_config client = { .netrc_file = inquiry->config.netrc_file, .allow_file = true };
    enum err err = take_path(inquiry, path, why);
    if (err == OK)
        err = client_policy_load(&inquiry->config, &inquiry->judge.policy, why);
    if (err == OK)
        err = client_trust_load(&inquiry->config, &inquiry->judge.trust, why);
    if (err == OK)
        err = nix_env_load(&inquiry->nix, NULL, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&inquiry->client, &client, why);
    if (err == OK && (inquiry->report = json_array()) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    inquiry->dir = inquiry->config.store_dir != NULL ? inquiry->config.store_dir : inquiry->nix.store_dir;
    inquiry->judge.warn = inquiry->config.warn;
    for (size_t i = 0; i < inquiry->config.upstreams.n && err == OK; i++)
        err = ask_upstream(inquiry, inquiry->config.upstreams.items[i], why);
    if (err != OK)
        return err;
    if (inquiry->json) {
        json_dumpf(inquiry->report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (!inquiry->passed) {
        err = why_last_of(&inquiry->config, span_str(inquiry->hash_part), why);
    }
    return err == OK && !inquiry->passed ? conclude(inquiry, why) : err;
}

enum err run_why(int argc, char **argv, struct why *why)
{
    struct inquiry inquiry = { 0 };
    const char *config_file = NULL;
    bool last = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--last", NULL, "the gate's last refusals instead of one path", NULL, &last },
        { "--json", NULL, "as JSON", NULL, &inquiry.json },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = client_config_load(&inquiry.config, config_file, why);
    if (err == OK && args.n != (last ? 0 : 1))
        err = fail(why, ERR_USAGE, "why takes one store path, or --last");
    else if (err == OK && last)
        err = why_last(&inquiry.config, inquiry.json, why);
    else if (err == OK)
        err = inquire(&inquiry, args.items[0], why);
    json_decref(inquiry.report);
    evidence_heads_free(&inquiry.heads);
    http_client_free(inquiry.client);
    nix_env_free(&inquiry.nix);
    trust_free(&inquiry.judge.trust);
    policy_free(&inquiry.judge.policy);
    client_config_free(&inquiry.config);
    free(args.items);
    return err;
}
