/* `stele staple`: the proofs beside the narinfo files of a cache. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "client/proofs.h"
#include "client/sidecar.h"
#include "client/stapler.h"
#include "client/verbs.h"
#include "lib/storepath.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/nixpath.h"

enum {
    ASKED_AT_ONCE = 1000,         /* hash parts of one request to a log */
    PUT_ANSWER_BYTES_MAX = 65536, /* of a cache that is written to */
    HEADS_KEPT_MAX = 256,         /* of the own proofs */
};

/* A path of the cache. */
struct stapled {
    char hash_part[HASH_PART_LEN];
    bool seen; /* its sidecar was read and verified, or there is nothing to put one beside */
    bool has;  /* then: a proof of it that verifies stands there */
};

struct staple {
    struct stapler by;
    const char *cache; /* URL without a final slash, or a folder's path */
    bool http;
    struct stapled *paths; /* by hash part, each once, when all are there */
    size_t paths_n;
    struct evidence_heads heads;    /* of the own proofs that were met lately */
    struct buf wanted;              /* hash parts to ask the logs for, a line each */
    bool all;                       /* the logs are asked for what has proofs already, too */
    size_t asked, written, without; /* hash parts looked up, sidecars written, paths without a proof that verifies */
    size_t silent;                  /* logs that gave no answer, or not all of it */
    bool missed;                    /* this one gave not all of it */
    bool failed;                    /* not the log: what it answered could not be put */
};

static enum err add_part(struct staple *staple, struct span part, struct why *why)
{
    if (!storepath_hash_part_ok(part))
        return OK;
    struct stapled *paths = array_more(staple->paths, staple->paths_n, sizeof *paths);
    if (paths == NULL)
        return fail(why, ERR_ENV, "out of memory");
    staple->paths = paths;
    struct stapled *path = &paths[staple->paths_n++];
    *path = (struct stapled){ .has = false };
    memcpy(path->hash_part, part.data, HASH_PART_LEN);
    return OK;
}

static int by_hash_part(const void *a, const void *b)
{
    return memcmp(((const struct stapled *)a)->hash_part, ((const struct stapled *)b)->hash_part, HASH_PART_LEN);
}

static void sort_paths(struct staple *staple)
{
    size_t n = 0;
    if (staple->paths_n > 0)
        qsort(staple->paths, staple->paths_n, sizeof *staple->paths, by_hash_part);
    for (size_t i = 0; i < staple->paths_n; i++)
        if (n == 0 || by_hash_part(&staple->paths[n - 1], &staple->paths[i]) != 0)
            staple->paths[n++] = staple->paths[i];
    staple->paths_n = n;
}

/* NULL where nobody asked for it. */
static struct stapled *find_path(const struct staple *staple, struct span part)
{
    struct stapled path;
    if (part.len != HASH_PART_LEN || staple->paths_n == 0)
        return NULL;
    memcpy(path.hash_part, part.data, HASH_PART_LEN);
    return bsearch(&path, staple->paths, staple->paths_n, sizeof path, by_hash_part);
}

/* The narinfo files of a cache, or the proofs of the own store: both are named by the hash part. */
static enum err take_name(void *ctx, const char *name, struct why *why)
{
    struct span text = span_str(name);
    if (text.len <= HASH_PART_LEN || name[HASH_PART_LEN] != '.' || !(span_ends(text, ".narinfo") || span_ends(text, ".tlog-proof")))
        return OK;
    return add_part(ctx, span_cut(text, 0, HASH_PART_LEN), why);
}

/* A narinfo's name alone: a cache's own sidecars are no reason to look for proofs. */
static enum err take_narinfo(void *ctx, const char *name, struct why *why)
{
    return span_ends(span_str(name), ".narinfo") ? take_name(ctx, name, why) : OK;
}

/* CACHE/<hash part><suffix>, with its NUL. */
static enum err place_of(const struct staple *staple, struct span part, const char *suffix, struct buf *out, struct why *why)
{
    buf_clear(out);
    buf_fmt(out, "%s/%.*s%s", staple->cache, SPAN_FMT(part), suffix);
    buf_byte(out, '\0');
    return buf_done(out, why);
}

/* What stands there. */
static enum err read_sidecar(const struct staple *staple, struct span part, struct buf *out, struct why *why)
{
    struct buf path = BUF_EMPTY;
    bool found;
    if (staple->http)
        return proofs_sidecar(staple->by.client, staple->cache, part, out, why);
    enum err err = place_of(staple, part, ".tlog-proof", &path, why);
    if (err == OK)
        err = file_read_if((const char *)path.data, BUNDLES_BYTES_MAX, out, &found, why);
    buf_free(&path);
    return err;
}

static enum err put(const struct staple *staple, const char *url, struct span sidecar, struct why *why)
{
    struct http_response response = { 0 };
    enum err err = http_put(staple->by.client, url, "text/plain; charset=utf-8", sidecar, PUT_ANSWER_BYTES_MAX, &response, why);
    if (err == OK && (response.status < 200 || response.status > 299))
        err = fail(why, ERR_ENV, "%s: PUT was answered with status %u", url, response.status);
    http_response_free(&response);
    return err;
}

static enum err write_sidecar(struct staple *staple, struct span part, struct span sidecar, struct why *why)
{
    struct buf path = BUF_EMPTY;
    staple->written++;
    enum err err = place_of(staple, part, ".tlog-proof", &path, why);
    if (err == OK && staple->http)
        err = put(staple, (const char *)path.data, sidecar, why);
    else if (err == OK)
        err = file_replace_soft((const char *)path.data, 0644, sidecar, why); /* the folder is synced in the end */
    buf_free(&path);
    return err;
}

/* Puts what is new beside what stands there, where that changes anything. */
static enum err staple_one(struct staple *staple, struct stapled *path, const struct evidence *fresh, struct why *why)
{
    struct span part = span_of(path->hash_part, HASH_PART_LEN);
    struct buf old = BUF_EMPTY, merged = BUF_EMPTY;
    enum err err = read_sidecar(staple, part, &old, why);
    if (err == OK)
        err = sidecar_merge(&merged, &staple->by, span_buf(&old), fresh, part, &path->has, why);
    path->seen = err == OK;
    if (err == OK && merged.len > 0 && !span_eq(span_buf(&old), span_buf(&merged)))
        err = write_sidecar(staple, part, span_buf(&merged), why);
    buf_free(&old);
    buf_free(&merged);
    return err;
}

/* Is the path in the cache at all? Of a folder that is known. */
static enum err served(const struct staple *staple, struct span part, bool *out, struct why *why)
{
    struct buf url = BUF_EMPTY;
    struct http_response response = { 0 };
    *out = true;
    if (!staple->http)
        return OK;
    enum err err = place_of(staple, part, ".narinfo", &url, why);
    if (err == OK)
        err = http_get(staple->by.client, (const char *)url.data, NULL, NARINFO_BYTES_MAX, &response, why);
    *out = err == OK && response.status == 200;
    if (err == OK && response.status >= 500)
        err = fail(why, ERR_ENV, "%s answered with status %u", (const char *)url.data, response.status);
    http_response_free(&response);
    buf_free(&url);
    return err;
}

/* From the own store; what has no proof then is asked of the logs. Where all is asked, what stands there is looked at with the
 * answers. */
static enum err from_own(struct staple *staple, struct stapled *path, struct why *why)
{
    struct span part = span_of(path->hash_part, HASH_PART_LEN);
    struct buf own = BUF_EMPTY;
    struct evidence fresh = { .heads = &staple->heads };
    bool there = true;
    enum err err = served(staple, part, &there, why);
    path->seen = !there;
    if (err == OK && there)
        err = proofs_own(&staple->by.config, part, &own, why);
    if (err == OK && there)
        err = evidence_add(&fresh, span_buf(&own), "own store", &staple->by.policy, NULL, why);
    if (err == OK && there && (fresh.n > 0 || !staple->all))
        err = staple_one(staple, path, &fresh, why);
    if (err == OK && there && (!path->has || staple->all)) {
        buf_span(&staple->wanted, part);
        buf_byte(&staple->wanted, '\n');
        err = buf_done(&staple->wanted, why);
    }
    evidence_free(&fresh);
    evidence_heads_trim(&staple->heads, HEADS_KEPT_MAX);
    buf_free(&own);
    return err;
}

/* A log's answer for some hash parts. */
static enum err from_log(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    struct staple *staple = ctx;
    struct evidence fresh = { 0 };
    struct span part;
    enum err err = evidence_add(&fresh, bundles, "log", &staple->by.policy, NULL, why);
    while (err == OK && span_line(&hash_parts, &part)) {
        struct stapled *path = find_path(staple, part);
        cli_progress("asking the logs", staple->asked++, staple->paths_n);
        if (fresh.n > 0 && path != NULL)
            err = staple_one(staple, path, &fresh, why);
    }
    staple->failed = err != OK;
    evidence_free(&fresh);
    return err;
}

/* What stands beside that path stays as it is, but for the own store's proofs. */
static void not_whole(void *ctx, struct span hash_part, const struct why *why)
{
    struct staple *staple = ctx;
    (void)hash_part;
    cli_progress_end();
    fprintf(stderr, "%s\n", why->text);
    staple->asked++;
    staple->missed = true;
}

/* At most so many lines off `rest`. */
static struct span take_some(struct span *rest, size_t n)
{
    struct span from = *rest, line;
    while (n-- > 0 && span_line(rest, &line))
        continue;
    return span_cut(from, 0, from.len - rest->len);
}

static enum err ask_log(struct staple *staple, size_t log, struct why *why)
{
    const struct proofs_taker taker = { from_log, not_whole, staple };
    struct span rest = span_buf(&staple->wanted);
    enum err err = OK;
    staple->asked = 0;
    staple->missed = false;
    while (rest.len > 0 && err == OK) {
        const struct proofs_asked asked = { .hash_parts = take_some(&rest, ASKED_AT_ONCE),
                                            .builders = stapler_builders(&staple->by) };
        err = proofs_log_many(staple->by.client, &staple->by.config, &staple->by.policy, log, &asked, &taker, why);
    }
    return err;
}

/* One after another: one that is down keeps nothing of the others' from the cache. */
static enum err ask_logs(struct staple *staple, struct why *why)
{
    for (size_t log = 0; log < staple->by.policy.logs_n; log++) {
        enum err err = ask_log(staple, log, why);
        if (err != OK && staple->failed)
            return err;
        if (err != OK) {
            cli_progress_end();
            fprintf(stderr, "%s\n", why->text);
        }
        staple->silent += err != OK || staple->missed;
    }
    return OK;
}

/* What no log answered about is as it stands there. Which paths are still without a proof? */
static enum err look_at_the_rest(struct staple *staple, struct why *why)
{
    const struct evidence none = { 0 };
    enum err err = OK;
    for (size_t i = 0; i < staple->paths_n && err == OK; i++) {
        if (!staple->paths[i].seen)
            err = staple_one(staple, &staple->paths[i], &none, why);
        staple->without += !staple->paths[i].has;
    }
    return err;
}

static enum err staple_cache(struct staple *staple, const struct cli_args *paths, struct why *why)
{
    enum err err = OK;
    char *own = path_join(staple->by.config.state, "proofs");
    if (own == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t i = 1; i < paths->n && err == OK; i++) {
        struct storepath path;
        err = storepath_parse(&path, span_str(paths->items[i]), why);
        if (err == OK)
            err = add_part(staple, path.hash_part, why);
    }
    if (err == OK && paths->n == 1 && !staple->http)
        err = dir_each(staple->cache, take_narinfo, staple, why);
    else if (err == OK && paths->n == 1 && (err = dir_make(own, 0755, why)) == OK)
        err = dir_each(own, take_name, staple, why);
    sort_paths(staple);
    for (size_t i = 0; i < staple->paths_n && err == OK; i++) {
        cli_progress("stapling", i, staple->paths_n);
        err = from_own(staple, &staple->paths[i], why);
    }
    if (err == OK)
        err = ask_logs(staple, why);
    if (err == OK)
        err = look_at_the_rest(staple, why);
    if (err == OK && !staple->http)
        err = dir_sync_all(staple->cache, why);
    cli_progress_end();
    if (err == OK)
        printf("%zu paths: %zu sidecars written%s", staple->paths_n, staple->written, staple->http ? "\n" : "");
    if (err == OK && !staple->http)
        printf(", %zu without a proof\n", staple->without);
    if (err == OK && staple->silent > 0)
        err = fail(why, ERR_ENV, "of %zu logs %zu gave no answer, or not all of it", staple->by.policy.logs_n, staple->silent);
    free(own);
    return err;
}

/* file://PATH?query or a folder's path, or an http(s) URL; in *cache without final slashes. */
static enum err take_cache(struct staple *staple, const char *text, char **cache, struct why *why)
{
    struct span place = span_str(text);
    struct stat st;
    staple->http = span_starts(place, "http://") || span_starts(place, "https://");
    if (span_skip(&place, "file://")) {
        ptrdiff_t query = span_find(place, '?');
        place.len = query < 0 ? place.len : (size_t)query;
    }
    while (place.len > 1 && place.data[place.len - 1] == '/')
        place.len--;
    *cache = span_dup_str(place);
    if (*cache == NULL)
        return fail(why, ERR_ENV, "out of memory");
    staple->cache = *cache;
    if (!staple->http && (stat(*cache, &st) != 0 || !S_ISDIR(st.st_mode)))
        return fail(why, ERR_ENV, "there is no folder %s: CACHE is a folder, a file:// or an http(s):// URL", *cache);
    return OK;
}

enum err run_staple(int argc, char **argv, struct why *why)
{
    struct staple staple = { 0 };
    const char *config_file = NULL;
    char *cache = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--all", NULL, "ask the logs also for paths that have a proof: there may be more by now", NULL, &staple.all },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, SIZE_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = stapler_open(&staple.by, config_file, why);
    if (err == OK)
        err = take_cache(&staple, args.items[0], &cache, why);
    if (err == OK)
        err = nix_paths_named(&args, 1, why);
    if (err == OK)
        err = staple_cache(&staple, &args, why);
    stapler_close(&staple.by);
    evidence_heads_free(&staple.heads);
    free(staple.paths);
    buf_free(&staple.wanted);
    free(cache);
    free(args.items);
    return err;
}
