/* `stele trace`: the recorded inputs of a path, followed through the logs down to ground. */
#include "client/trace.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/local.h"
#include "client/memory.h"
#include "client/prove.h"
#include "client/trail_follow.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixpath.h"

enum { STRANGERS_ASKED_MAX = 1000 };

struct tracing {
    struct local local;
    const char *path;
    bool json, dot, offline;
    struct trail_sources sources;
    struct buf troubles;
};

/* The path as this store has it, else as a cache shows it. */
static enum err describe(struct tracing *tracing, struct nixdb_info *info, struct buf *narinfo, struct why *why)
{
    struct storepath path;
    bool found = false;
    enum err err = OK;
    if (storepath_parse(&path, span_str(tracing->path), NULL) != OK)
        return fail(why, ERR_USAGE, "%s is no store path: give it whole, as in /nix/store/…-name", tracing->path);
    if (tracing->local.db != NULL)
        err = nixdb_path(tracing->local.db, tracing->path, info, &found, why);
    if (err == OK && found)
        return local_narinfo(info, narinfo, why);
    for (size_t i = 0; i < tracing->local.config.upstreams.n && err == OK && !found; i++) {
        struct gathered gathered = { 0 };
        struct why trouble;
        if (gather_narinfo(&gathered, tracing->local.client, tracing->local.config.upstreams.items[i], path.hash_part, &found,
                           &trouble) != OK)
            buf_fmt(&tracing->troubles, "  %s: %s\n", tracing->local.config.upstreams.items[i], trouble.text);
        buf_span(narinfo, span_buf(&gathered.narinfo));
        gathered_free(&gathered);
    }
    return err != OK || found
               ? err
               : fail(why, ERR_REFUSED, "%s is neither in this store nor in an upstream cache: its bytes are not known",
                      tracing->path);
}

/* Which paths for which nobody whom the trust file names answers were attested by somebody else? */
static enum err take_strangers(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    (void)hash_parts;
    return trail_feed_proofs(ctx, span_of(NULL, 0), bundles, "log", why);
}

static enum err ask_for_strangers(struct tracing *tracing, struct trail *trail, struct why *why)
{
    struct buf parts = BUF_EMPTY;
    struct proofs_taker taker = { take_strangers, NULL, trail };
    size_t n = 0;
    for (uint32_t i = 0; i < trail->nodes.n && n < STRANGERS_ASKED_MAX; i++) {
        const struct trail_place *place = place_at(trail, node_at(trail, i)->place);
        if (node_at(trail, i)->basis != NOTHING || place->step != NONE)
            continue;
        buf_span(&parts, place->path.hash_part);
        buf_byte(&parts, '\n');
        n++;
    }
    enum err err = buf_done(&parts, why);
    const struct proofs_asked asked = { .hash_parts = span_buf(&parts) };
    for (size_t i = 0; i < tracing->local.policy.logs_n && err == OK && n > 0 && tracing->local.look_up; i++) {
        struct why trouble;
        /* A log that is not to be believed was named when the trail was followed. */
        if (memory_ask(&tracing->local.config, &tracing->local.policy, i, tracing->local.client, &trouble) != OK)
            continue;
        if (proofs_log_many(tracing->local.client, &tracing->local.config, &tracing->local.policy, i, &asked, &taker, &trouble) !=
            OK)
            buf_fmt(&tracing->troubles, "  log %.*s: %s\n", SPAN_FMT(tracing->local.policy.logs[i].key.name), trouble.text);
    }
    buf_free(&parts);
    return err == OK ? trail_absorb(trail, why) : err;
}

static void show_progress(size_t asked)
{
    cli_progress("paths followed", asked, 0);
}

static enum err show(struct tracing *tracing, const struct trail *trail, bool complete, struct why *why)
{
    struct why end;
    cli_progress_end();
    enum err err = tracing->json  ? trace_show_json(trail, complete, why)
                   : tracing->dot ? trace_show_dot(trail, why)
                                  : trace_show_text(trail, why);
    if (err != OK)
        return err;
    trail_why(trail, &end);
    if (tracing->troubles.len > 0)
        fprintf(stderr, "not every source could be asked:\n%.*s", SPAN_FMT(span_buf(&tracing->troubles)));
    return complete ? OK : fail(why, ERR_REFUSED, "%s", end.text);
}

static enum err trace(struct tracing *tracing, struct why *why)
{
    struct trail_config config = { &tracing->local.policy, &tracing->local.trust, NULL, prove_threads(), &tracing->local.config };
    struct nixdb_info info = { 0 };
    struct buf text = BUF_EMPTY;
    struct narinfo narinfo = { 0 };
    struct trail *trail = NULL;
    struct storepath path = { 0 };
    enum trail_state state = TRAIL_BROKEN;
    enum err err = describe(tracing, &info, &text, why);
    if (err == OK)
        err = storepath_parse(&path, span_str(tracing->path), why);
    if (err == OK)
        err = narinfo_parse(&narinfo, span_buf(&text), path.dir, why);
    if (err == OK && !span_eq(narinfo.path.path, path.path))
        err = fail(why, ERR_REFUSED, "the cache answers with another path, %.*s", SPAN_FMT(narinfo.path.path));
    if (err == OK)
        err = trail_new(&trail, &config, why);
    struct trust_path asked = { .path = path,
                                .nar_hash = narinfo.nar_hash,
                                .nar_size = narinfo.nar_size,
                                .references_digest = references_digest(narinfo.references, narinfo.references_n),
                                .content_addressed = narinfo.ca.len > 0 };
    if (err == OK)
        err = trail_ask(trail, &asked, why);
    if (err == OK)
        err = trail_feed_info(trail, path.hash_part, span_buf(&text), why);
    if (err == OK)
        err = trail_follow(&tracing->sources, trail, &state, show_progress, &tracing->troubles, why);
    if (err == OK && state == TRAIL_BROKEN && !trail->too_large)
        err = ask_for_strangers(tracing, trail, why);
    if (err == OK)
        err = show(tracing, trail, state == TRAIL_COMPLETE, why);
    trail_free(trail);
    narinfo_free(&narinfo);
    nixdb_info_free(&info);
    buf_free(&text);
    return err;
}

enum err run_trace(int argc, char **argv, struct why *why)
{
    struct tracing tracing = { 0 };
    const char *config_file = NULL, *root = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--store", "ROOT", "the store in ROOT/nix/store", &root, NULL },
        { "--json", NULL, "as JSON", NULL, &tracing.json },
        { "--dot", NULL, "as a graph for Graphviz", NULL, &tracing.dot },
        { "--offline", NULL, "ask no log: own proofs only", NULL, &tracing.offline },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (tracing.json && tracing.dot)
        err = fail(why, ERR_USAGE, "--json or --dot, not both");
    if (err == OK)
        err = local_open(&tracing.local, config_file, root, !tracing.offline, why);
    if (err == OK)
        err = nix_paths_named(&args, 0, why);
    tracing.path = args.items[0];
    tracing.sources = (struct trail_sources){ .config = &tracing.local.config,
                                              .policy = &tracing.local.policy,
                                              .trust = &tracing.local.trust,
                                              .client = tracing.local.look_up ? tracing.local.client : NULL,
                                              .db = tracing.local.db,
                                              .env = &tracing.local.env };
    if (err == OK)
        err = trace(&tracing, why);
    buf_free(&tracing.troubles);
    local_close(&tracing.local);
    free(args.items);
    return err;
}
