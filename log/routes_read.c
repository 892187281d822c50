/* The routes that read. Each takes what is published once, and looks no further than that. */
#include "lib/sys/gzip.h"
#include "log/limits.h"
#include "log/metrics.h"

#define OCTETS  "application/octet-stream"
/* tlog-tiles: tiles never change. */
#define FOREVER "public, max-age=31536000, immutable"
#define PACKED  ((struct http_header){ "Content-Encoding", "gzip" })

void routes_reply(struct http_request *request, const char *type, const char *cache, struct http_header more, struct buf *body)
{
    const struct http_header headers[] = {
        { "Content-Type", type },
        { "Cache-Control", cache },
        more,
        { NULL, NULL },
    };
    http_reply_take(request, 200, headers, body);
}

/* Compressed, where that is asked for and worth it; *packed says whether. */
static enum err pack_for(const struct http_request *request, struct buf *body, bool *packed, struct why *why)
{
    struct buf out = BUF_EMPTY;
    *packed = body->len >= PACKED_BYTES_MIN && gzip_asked(http_request_header(request, "Accept-Encoding"));
    if (!*packed)
        return OK;
    enum err err = gzip_pack(&out, span_buf(body), why);
    if (err == OK) {
        buf_free(body);
        *body = out;
    } else {
        buf_free(&out);
    }
    return err;
}

void routes_reply_packed(struct http_request *request, const char *type, const char *cache, struct http_header more,
                         struct buf *body)
{
    struct why why;
    bool packed;
    if (pack_for(request, body, &packed, &why) != OK) {
        routes_reply_err(request, ERR_ENV, &why);
        return;
    }
    const struct http_header headers[] = {
        { "Content-Type", type }, { "Cache-Control", cache },   { "Vary", "Accept-Encoding" },
        packed ? PACKED : more,   packed ? more : NOTHING_MORE, NOTHING_MORE,
    };
    http_reply_take(request, 200, headers, body);
}

void routes_reply_err(struct http_request *request, enum err err, const struct why *why)
{
    http_reply_problem(request, err == ERR_ENV ? 500 : 400, 0, "%s", why->text);
}

bool routes_take_published(struct routes *routes, struct http_request *request, struct published_view *shown)
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
    if (!routes_take_published(routes, request, &shown))
        return;
    const char *known = http_request_header(request, "If-None-Match");
    const struct http_header unchanged[] = { { "ETag", shown.newest->etag }, { "Cache-Control", PUBLISHED_CACHE }, { NULL, NULL } };
    if (known != NULL && matches(known, shown.newest->etag))
        http_reply(request, 304, unchanged, span_of("", 0));
    else
        http_reply_shared(request, shown.newest->answer);
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

/* The answer, made once. */
static enum err make_tile(struct routes *routes, const struct http_request *request, const struct tile *tile,
                          struct http_shared **out, struct why *why)
{
    struct buf body = BUF_EMPTY;
    bool packed = false;
    enum err err = read_tile(routes->pipeline->store, tile, &body, why);
    if (err == OK && tile->entries)
        err = pack_for(request, &body, &packed, why);
    size_t bytes = body.len;
    const struct http_header headers[] = {
        { "Content-Type", OCTETS },
        { "Cache-Control", FOREVER },
        tile->entries ? (struct http_header){ "Vary", "Accept-Encoding" } : NOTHING_MORE,
        packed ? PACKED : NOTHING_MORE,
        NOTHING_MORE,
    };
    if (err == OK && (*out = http_shared_new(200, headers, &body)) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        hot_keep(routes->hot, tile, packed, *out, bytes);
    buf_free(&body);
    return err;
}

/* Of a path that was looked at already. */
static void answer_tile(struct routes *routes, struct http_request *request, struct span rest)
{
    struct http_shared *shared = NULL;
    struct tile tile;
    struct why why;
    (void)rest;
    struct span path = http_path(request);
    enum err err = tile_path_parse(&tile, span_cut(path, 1, path.len - 1), &why);
    if (err == OK)
        err = make_tile(routes, request, &tile, &shared, &why);
    if (err == OK)
        http_reply_shared(request, shared);
    else
        routes_reply_err(request, err, &why);
    http_shared_release(shared);
}

/* Is the tile in the published tree? Any width is, up to the published one: a partial tile is a prefix of what the tile becomes.
 * Answers where not. */
static bool tile_shown(struct routes *routes, struct http_request *request, const struct tile *tile)
{
    struct published_view shown;
    if (!routes_take_published(routes, request, &shown))
        return false;
    uint64_t size = shown.newest->head.size;
    published_release(&shown);
    if (tile_width(tile->level, tile->index, size) >= tile->width)
        return true;
    http_reply_problem(request, 404, 0, "the published tree of %llu entries has no such tile", (unsigned long long)size);
    return false;
}

void route_tile(struct routes *routes, struct http_request *request, struct span rest)
{
    struct tile tile;
    struct why why;
    struct span path = http_path(request);
    if (tile_path_parse(&tile, span_cut(path, 1, path.len - 1), &why) != OK) {
        http_reply_problem(request, 404, 0, "%s", why.text);
        return;
    }
    if (!tile_shown(routes, request, &tile))
        return;
    bool asked = tile.entries && gzip_asked(http_request_header(request, "Accept-Encoding"));
    struct http_shared *shared = hot_find(routes->hot, &tile, asked);
    const struct job job = { .answer = answer_tile, .routes = routes, .request = request, .rest = rest };
    if (shared != NULL)
        http_reply_shared(request, shared);
    else if (!asked)
        answer_tile(routes, request, rest);
    else if (!workers_take(routes->lookups, &job)) /* to compress takes long */
        http_reply_problem(request, 503, RETRY_AFTER_S, "the log has too much to do at the moment");
    http_shared_release(shared);
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
    if (!routes_take_published(routes, request, &shown))
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
        routes_reply_err(request, err, &why);
    else if (!found || first >= shown.newest->head.size)
        http_reply_problem(request, 404, 0, "this log has no such input list");
    else
        routes_reply_packed(request, TEXT_PLAIN, FOREVER, NOTHING_MORE, &body);
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
    routes_reply(request, TEXT_PLAIN, "no-store", NOTHING_MORE, &body);
}

void route_metrics(struct routes *routes, struct http_request *request, struct span rest)
{
    (void)rest;
    struct buf body = BUF_EMPTY;
    metrics_render(routes, &body);
    routes_reply(request, "text/plain; version=0.0.4; charset=utf-8", "no-store", NOTHING_MORE, &body);
}
