/* `stele why`: the whole reasoning for one path, as the gate would go about it now, and what it said last. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/gather.h"
#include "client/refusals.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixenv.h"

struct inquiry {
    struct client_config config;
    struct judge judge;
    struct nix_env nix;
    const char *dir;
    struct http_client *client;
    char hash_part[HASH_PART_LEN + 1];
    bool passed; /* some upstream's path passes */
    bool found;  /* some upstream has it */
    bool json;
    json_t *report; /* one object an upstream */
};

/* PATH may be a whole store path, its base name, or its hash part alone. */
static enum err take_path(struct inquiry *inquiry, const char *text, struct why *why)
{
    struct storepath path;
    struct span part = span_str(text);
    if (storepath_parse(&path, part, NULL) == OK || storepath_parse_base(&path, part, NULL) == OK)
        part = path.hash_part;
    if (part.len != HASH_PART_LEN || !storepath_hash_part_ok(part))
        return fail(why, ERR_USAGE, "%s is no store path: give it whole, as in /nix/store/…-name", text);
    memcpy(inquiry->hash_part, part.data, HASH_PART_LEN);
    return OK;
}

static void show(struct inquiry *inquiry, const char *upstream, const struct judge_verdict *verdict,
                 const struct gathered *gathered)
{
    if (!inquiry->json) {
        printf("%s\n%.*s%.*s", upstream, SPAN_FMT(span_buf(&verdict->tree)), SPAN_FMT(span_buf(&gathered->troubles)));
        return;
    }
    struct buf by = BUF_EMPTY;
    judge_summary(&by, &inquiry->judge, verdict);
    json_t *object =
        json_pack("{s:s, s:b, s:s, s:s, s:s%, s:s%}", "upstream", upstream, "passes", verdict->passes, "verdict",
                  trust_verdict_name(verdict->result.verdict), "why", verdict->why.text, "by", by.len ? (char *)by.data : "",
                  by.len, "reasoning", verdict->tree.len ? (char *)verdict->tree.data : "", verdict->tree.len);
    if (object != NULL)
        json_array_append_new(inquiry->report, object);
    buf_free(&by);
}

static enum err ask_upstream(struct inquiry *inquiry, const char *upstream, struct why *why)
{
    struct gathered gathered = { 0 };
    struct judge_verdict verdict = { 0 };
    struct why trouble;
    struct span hash_part = span_str(inquiry->hash_part);
    bool found = false;
    enum err err = gather_narinfo(&gathered, inquiry->client, upstream, hash_part, &found, &trouble);
    if (err != OK || !found) {
        if (!inquiry->json)
            printf("%s\n  %s\n", upstream, err != OK ? trouble.text : "this cache does not have it");
        err = OK;
        goto out;
    }
    inquiry->found = true;
    err = gather_near(&gathered, inquiry->client, &inquiry->config, upstream, hash_part, why);
    if (err == OK)
        err = gather_logs(&gathered, inquiry->client, &inquiry->config, &inquiry->judge.policy, hash_part, why);
    struct judge_question question = { .narinfo = span_buf(&gathered.narinfo),
                                       .dir = span_str(inquiry->dir),
                                       .hash_part = hash_part,
                                       .sources = gathered.sources,
                                       .n = gathered.n,
                                       .looked_up = gathered.looked_up };
    if (err == OK)
        err = judge_narinfo(&inquiry->judge, &question, &verdict, why);
    if (err == OK) {
        show(inquiry, upstream, &verdict, &gathered);
        inquiry->passed |= verdict.passes;
    }
out:
    judge_verdict_free(&verdict);
    gathered_free(&gathered);
    return err;
}

static enum err show_last(const struct inquiry *inquiry, struct span hash_part, size_t most, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = refusals_find(&inquiry->config, hash_part, most, &text, why);
    if (err == OK && text.len > 0)
        printf("the gate's %s\n%.*s", hash_part.len > 0 ? "last refusal of it:" : "last refusals:", (int)text.len,
               (const char *)text.data);
    else if (err == OK && hash_part.len == 0)
        printf("the gate has refused nothing\n");
    buf_free(&text);
    return err;
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
    } else if (!inquiry->found) {
        err = show_last(inquiry, span_str(inquiry->hash_part), 1, why);
    }
    if (err == OK && !inquiry->passed)
        err = fail(why, ERR_REFUSED, inquiry->found ? "the gate refuses this path" : "no upstream cache has this path");
    return err;
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
        err = show_last(&inquiry, span_str(""), 20, why);
    else if (err == OK)
        err = inquire(&inquiry, args.items[0], why);
    json_decref(inquiry.report);
    http_client_free(inquiry.client);
    nix_env_free(&inquiry.nix);
    trust_free(&inquiry.judge.trust);
    policy_free(&inquiry.judge.policy);
    client_config_free(&inquiry.config);
    free(args.items);
    return err;
}
