/* The routes that read. Each takes what is published once, and looks no further than that. */
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "log/limits.h"
#include "log/proofs.h"
#include "log/routes.h"

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define OCTETS     "application/octet-stream"
/* tlog-tiles: tiles never change; the checkpoint must not be cached beyond a few seconds. */
#define FOREVER    "public, max-age=31536000, immutable"
#define BRIEFLY    "max-age=2"

static void reply(struct http_request *request, const char *type, const char *cache, const char *etag, struct buf *body)
{
    const struct http_header headers[] = {
        { "Content-Type", type },
        { "Cache-Control", cache },
        { etag == NULL ? NULL : "ETag", etag },
        { NULL, NULL },
    };
    http_reply_take(request, 200, headers, body);
}

static void reply_err(struct http_request *request, enum err err, const struct why *why)
{
    http_reply_problem(request, err == ERR_ENV ? 500 : 400, 0, "%s", why->text);
}

/* Takes what is published; answers 503 where nothing is. */
static bool take_published(struct routes *routes, struct http_request *request, struct published_view *shown)
{
    *shown = published_take(routes->pipeline->published);
    if (shown->newest != NULL)
        return true;
    http_reply_problem(request, 503, RETRY_AFTER_S, "no head of this log is under its witnesses' quorum at the moment");
    return false;
}

/* RFC 9110 section 13.1.2: a list of entity tags, weak or not, or `*`. */
static bool matches(const char *list, const char *etag)
{
    struct span rest = span_str(list), tag = span_str(etag), word;
    if (span_is(rest, "*"))
        return true;
    while (rest.len > 0) {
        ptrdiff_t comma = span_find(rest, ',');
        struct span part = comma < 0 ? rest : span_cut(rest, 0, (size_t)comma);
        rest = comma < 0 ? span_cut(rest, rest.len, 0) : span_cut(rest, (size_t)comma + 1, rest.len - (size_t)comma - 1);
        if (!span_word(&part, &word))
            continue;
        span_skip(&word, "W/");
        if (span_eq(word, tag))
            return true;
    }
    return false;
}

void route_checkpoint(struct routes *routes, struct http_request *request, struct span rest)
{
    (void)rest;
    struct published_view shown;
    if (!take_published(routes, request, &shown))
        return;
    const char *known = http_request_header(request, "If-None-Match");
    const struct http_header unchanged[] = { { "ETag", shown.newest->etag }, { "Cache-Control", BRIEFLY }, { NULL, NULL } };
    if (known != NULL && matches(known, shown.newest->etag)) {
        http_reply(request, 304, unchanged, span_of("", 0));
    } else {
        struct buf body = BUF_EMPTY;
        buf_span(&body, span_buf(&shown.newest->note));
        reply(request, TEXT_PLAIN, BRIEFLY, shown.newest->etag, &body);
    }
    published_release(&shown);
}

static enum err read_tile(struct store *store, const struct tile *tile, struct buf *out, struct why *why)
{
    struct store_view view;
    struct span bytes;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    if (tile->entries)
        err = store_view_bundle(&view, tile->index, tile->width, out, &bytes, why);
    else
        err = store_view_tile(&view, tile, &bytes, why);
    if (err == OK && out->len == 0) {
        buf_span(out, bytes);
        err = buf_done(out, why);
    }
    store_view_end(&view);
    return err;
}

/* Any width up to the published one: a partial tile is a prefix of what the tile becomes. */
void route_tile(struct routes *routes, struct http_request *request, struct span rest)
{
    struct published_view shown;
    struct tile tile;
    struct why why;
    (void)rest;
    struct span path = http_path(request);
    if (tile_path_parse(&tile, span_cut(path, 1, path.len - 1), &why) != OK) {
        http_reply_problem(request, 404, 0, "%s", why.text);
        return;
    }
    if (!take_published(routes, request, &shown))
        return;
    struct buf body = BUF_EMPTY;
    enum err err;
    if (tile_width(tile.level, tile.index, shown.newest->head.size) < tile.width)
        http_reply_problem(request, 404, 0, "the published tree of %llu entries has no such tile",
                           (unsigned long long)shown.newest->head.size);
    else if ((err = read_tile(routes->pipeline->store, &tile, &body, &why)) != OK)
        reply_err(request, err, &why);
    else
        reply(request, OCTETS, FOREVER, NULL, &body);
    buf_free(&body);
    published_release(&shown);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

/* builder=HEX,HEX,…: sorted, without doubles. */
static enum err read_builders(const char *text, struct hash builders[LOOKUP_BUILDERS_MAX], size_t *n, struct why *why)
{
    struct span rest = text == NULL ? span_of("", 0) : span_str(text);
    size_t given = 0;
    while (text != NULL && rest.len > 0) {
        ptrdiff_t comma = span_find(rest, ',');
        struct span word = comma < 0 ? rest : span_cut(rest, 0, (size_t)comma);
        rest = comma < 0 ? span_cut(rest, rest.len, 0) : span_cut(rest, (size_t)comma + 1, rest.len - (size_t)comma - 1);
        if (given == LOOKUP_BUILDERS_MAX)
            return fail(why, ERR_REFUSED, "`builder` names more than %d builders", LOOKUP_BUILDERS_MAX);
        if (!hex_decode(word, builders[given++].b, 32))
            return fail(why, ERR_MALFORMED, "`builder` is a list of SHA-256 of vkeys in lower-case hex, separated by commas");
    }
    if (text != NULL && given == 0)
        return fail(why, ERR_MALFORMED, "`builder` is empty");
    qsort(builders, given, sizeof *builders, by_bytes);
    *n = 0;
    for (size_t i = 0; i < given; i++)
        if (*n == 0 || !hash_eq(&builders[*n - 1], &builders[i]))
            builders[(*n)++] = builders[i];
    return OK;
}

static enum err read_lookup(const struct http_request *request, struct span hash_part, struct hash *builders,
                            struct store_lookup *out, struct why *why)
{
    uint64_t after;
    const char *text = http_query(request, "after");
    *out = (struct store_lookup){ .builders = builders, .per_builder = OUTPUT_ATTESTATIONS_MAX };
    if (!storepath_hash_part_ok(hash_part) || !nix32_decode(hash_part, out->hash_part, sizeof out->hash_part))
        return fail(why, ERR_MALFORMED, "a hash part has 32 characters of Nix's base 32");
    if (text != NULL && !span_decimal(span_str(text), TREE_SIZE_MAX - 1, &after))
        return fail(why, ERR_MALFORMED, "`after` is an index");
    out->from = text == NULL ? 0 : after + 1;
    return read_builders(http_query(request, "builder"), builders, &out->builders_n, why);
}

/* The bundles of a look-up, as many as fit an answer. */
static enum err look_up(struct store *store, const struct published_view *shown, const struct store_lookup *lookup, struct buf *out,
                        struct why *why)
{
    struct store_view view;
    uint64_t indices[LOOKUP_ENTRIES_MAX];
    size_t n;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    err = store_view_output(&view, lookup, indices, LOOKUP_ENTRIES_MAX, &n, why);
    for (size_t i = 0; i < n && err == OK && out->len < BUNDLES_BYTES_MAX - PROOF_BYTES_MAX; i++) {
        struct span entry;
        err = store_view_entry(&view, indices[i], &entry, why);
        if (err == OK)
            err = proof_of_entry(&view, published_head_for(shown, indices[i]), indices[i], entry, out, why);
    }
    store_view_end(&view);
    return err == OK ? buf_done(out, why) : err;
}

void route_output(struct routes *routes, struct http_request *request, struct span rest)
{
    struct published_view shown;
    struct hash builders[LOOKUP_BUILDERS_MAX];
    struct store_lookup lookup;
    struct why why;
    enum err err = read_lookup(request, rest, builders, &lookup, &why);
    if (err != OK) {
        reply_err(request, err, &why);
        return;
    }
    if (!take_published(routes, request, &shown))
        return;
    struct buf body = BUF_EMPTY;
    lookup.size = shown.newest->head.size;
    err = look_up(routes->pipeline->store, &shown, &lookup, &body, &why);
    if (err != OK)
        reply_err(request, err, &why);
    else if (body.len == 0)
        http_reply_problem(request, 404, 0, "this log has no such attestation");
    else
        reply(request, TEXT_PLAIN, BRIEFLY, NULL, &body);
    buf_free(&body);
    published_release(&shown);
}

void route_inputs(struct routes *routes, struct http_request *request, struct span rest)
{
    struct published_view shown;
    struct store_view view;
    struct why why;
    struct hash hash;
    struct span text;
    uint64_t first;
    bool found = false;
    if (!hex_decode(rest, hash.b, sizeof hash.b)) {
        http_reply_problem(request, 400, 0, "an input list is named by its SHA-256 in lower-case hex");
        return;
    }
    if (!take_published(routes, request, &shown))
        return;
    struct buf body = BUF_EMPTY;
    enum err err = store_view_begin(routes->pipeline->store, &view, &why);
    if (err == OK) {
        err = store_view_inputs(&view, &hash, &text, &first, &found, &why);
        if (err == OK && found)
            buf_span(&body, text);
        store_view_end(&view);
    }
    if (err != OK)
        reply_err(request, err, &why);
    else if (!found || first >= shown.newest->head.size)
        http_reply_problem(request, 404, 0, "this log has no such input list");
    else
        reply(request, TEXT_PLAIN, FOREVER, NULL, &body);
    buf_free(&body);
    published_release(&shown);
}

void route_health(struct routes *routes, struct http_request *request, struct span rest)
{
    (void)rest;
    struct why why;
    struct buf body = BUF_EMPTY;
    if (pipeline_failed(routes->pipeline, &why)) {
        http_reply_problem(request, 503, 0, "%s", why.text);
        return;
    }
    buf_str(&body, "ok\n");
    reply(request, TEXT_PLAIN, "no-store", NULL, &body);
}

static void metric(struct buf *out, const char *name, uint64_t value)
{
    buf_fmt(out, "stele_log_%s %llu\n", name, (unsigned long long)value);
}

void route_metrics(struct routes *routes, struct http_request *request, struct span rest)
{
    (void)rest;
    struct pipeline *pipeline = routes->pipeline;
    struct buf out = BUF_EMPTY;
    pthread_mutex_lock(&pipeline->lock);
    metric(&out, "tree_size", pipeline->committed);
    metric(&out, "signed_size", pipeline->signed_size);
    metric(&out, "published_size", pipeline->published_size);
    metric(&out, "queue_submissions", pipeline->queue.n);
    metric(&out, "queue_bytes", pipeline->queue_bytes);
    metric(&out, "waiting_submissions", pipeline->waiting.n);
    metric(&out, "submissions_total", pipeline->submitted);
    metric(&out, "submissions_refused_total", pipeline->refused_full);
    metric(&out, "submissions_timed_out_total", pipeline->timed_out);
    metric(&out, "failed", pipeline->failed);
    pthread_mutex_unlock(&pipeline->lock);
    metric(&out, "store_bytes", store_used_bytes(pipeline->store));
    uint64_t at_ms = published_at_ms(pipeline->published), now_ms = clock_monotonic_ms();
    if (at_ms > 0)
        buf_fmt(&out, "stele_log_published_age_seconds %.3f\n", at_ms < now_ms ? (double)(now_ms - at_ms) / 1000 : 0);
    witnesses_metrics(pipeline->witnesses, &out);
    reply(request, "text/plain; version=0.0.4", "no-store", NULL, &out);
}
