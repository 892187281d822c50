/* `stele proofs`: what a cache in front of a store would serve. */
#include <stdio.h>
#include <stdlib.h>

#include "client/proofs.h"
#include "client/sidecar.h"
#include "client/stapler.h"
#include "client/verbs.h"
#include "lib/storepath.h"
#include "lib/sys/cli.h"
#include "lib/sys/nixpath.h"

struct printing {
    const struct policy *policy;
    struct evidence fresh;
};

static enum err take_to_print(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    struct printing *printing = ctx;
    (void)hash_parts;
    return evidence_add(&printing->fresh, bundles, "log", printing->policy, NULL, why);
}

/* All proofs of one path: the own store's and the logs'. Of a path without one *without is counted. */
static enum err print_proofs(struct stapler *stapler, const char *text, size_t *without, struct why *why)
{
    struct storepath path;
    struct buf own = BUF_EMPTY, merged = BUF_EMPTY, line = BUF_EMPTY;
    struct printing printing = { .policy = &stapler->policy };
    bool proves = false;
    const struct proofs_taker taker = { take_to_print, NULL, &printing };
    enum err err = storepath_parse(&path, span_str(text), why);
    if (err == OK)
        err = proofs_own(&stapler->config, path.hash_part, &own, why);
    if (err == OK)
        err = evidence_add(&printing.fresh, span_buf(&own), "own store", &stapler->policy, NULL, why);
    if (err == OK) {
        buf_fmt(&line, "%.*s\n", SPAN_FMT(path.hash_part));
        err = buf_done(&line, why);
    }
    const struct proofs_asked asked = { .hash_parts = span_buf(&line), .builders = stapler_builders(stapler) };
    for (size_t log = 0; log < stapler->policy.logs_n && err == OK; log++) {
        struct why trouble;
        if (proofs_log_many(stapler->client, &stapler->config, &stapler->policy, log, &asked, &taker, &trouble) != OK)
            fprintf(stderr, "%s\n", trouble.text);
    }
    if (err == OK)
        err = sidecar_merge(&merged, stapler, span_of(NULL, 0), &printing.fresh, path.hash_part, &proves, why);
    if (err == OK && !proves)
        ++*without;
    else if (err == OK && fwrite(merged.data, 1, merged.len, stdout) != merged.len)
        err = fail(why, ERR_ENV, "cannot write the proofs");
    evidence_free(&printing.fresh);
    buf_free(&own);
    buf_free(&merged);
    buf_free(&line);
    return err;
}

enum err run_proofs(int argc, char **argv, struct why *why)
{
    struct stapler stapler;
    size_t without = 0;
    const char *config_file = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = stapler_open(&stapler, config_file, why);
    if (err == OK)
        err = nix_paths_named(&args, 0, why);
    for (size_t i = 0; i < args.n && err == OK; i++)
        err = print_proofs(&stapler, args.items[i], &without, why);
    if (err == OK && without > 0)
        err = fail(why, ERR_REFUSED, "of %zu of %zu paths there is no proof", without, args.n);
    stapler_close(&stapler);
    free(args.items);
    return err;
}
