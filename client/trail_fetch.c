#include "client/trail_fetch.h"

#include "client/local.h"
#include "client/look_up.h"
#include "client/troubles.h"

struct fetch {
    const struct trail_sources *sources;
    const struct trail_sink *sink;
    struct buf *troubles;
    const char *source;
    bool missed; /* a log does not give all of some path */
};

static enum err pass_on(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    struct fetch *fetch = ctx;
    (void)hash_parts;
    return fetch->sink->proofs(fetch->sink->ctx, span_of(NULL, 0), bundles, fetch->source, why);
}

/* An error of a source is noted; one of the sink, which is ours, ends all. Both come as one: what is no ERR_ENV is ours. */
static void note(struct fetch *fetch, const char *source, const struct why *trouble)
{
    troubles_note(fetch->troubles, source, span_of(NULL, 0), trouble);
}

/* The log has answered for the others, and is not left alone. */
static void miss(void *ctx, struct span hash_part, const struct why *why)
{
    struct fetch *fetch = ctx;
    (void)hash_part;
    note(fetch, fetch->source, why);
    fetch->missed = true;
}

static enum err from_own_store(struct fetch *fetch, struct span parts, struct why *why)
{
    struct buf bundles = BUF_EMPTY;
    struct span part;
    struct why trouble;
    enum err err = OK;
    while (err == OK && span_line(&parts, &part)) {
        buf_clear(&bundles);
        if (proofs_own(fetch->sources->config, part, &bundles, &trouble) != OK)
            note(fetch, "own store", &trouble);
        else if (bundles.len > 0)
            err = fetch->sink->proofs(fetch->sink->ctx, span_of(NULL, 0), span_buf(&bundles), "own store", why);
    }
    buf_free(&bundles);
    return err;
}

static enum err from_logs(struct fetch *fetch, struct span parts, struct why *why)
{
    const struct trail_sources *sources = fetch->sources;
    struct proofs_taker taker = { pass_on, miss, fetch };
    struct buf builders = BUF_EMPTY;
    size_t answered = 0;
    proofs_builders(&builders, sources->trust);
    enum err err = buf_done(&builders, why);
    struct proofs_asked asked = { .hash_parts = parts, .builders = span_buf(&builders), .alone = true };
    for (size_t i = 0; i < sources->policy->logs_n && err == OK && sources->client != NULL; i++) {
        struct why trouble;
        struct span url;
        struct buf name = BUF_EMPTY;
        if (!proofs_log_url(sources->config, sources->policy, i, &url))
            continue;
        buf_fmt(&name, "log %.*s", SPAN_FMT(sources->policy->logs[i].key.name));
        buf_byte(&name, '\0');
        err = buf_done(&name, why);
        fetch->source = (const char *)name.data;
        if (err == OK && look_up_many(sources->client, sources->config, sources->policy, i, &asked, &taker, &trouble) != OK)
            note(fetch, fetch->source, &trouble);
        else
            answered++;
        buf_free(&name);
    }
    if (answered < sources->policy->logs_n || fetch->missed)
        fetch->sink->not_asked(fetch->sink->ctx);
    buf_free(&builders);
    return err;
}

static enum err fetch_list(struct fetch *fetch, struct span hex, struct why *why)
{
    const struct trail_sources *sources = fetch->sources;
    struct http_response response = { 0 };
    struct hash want, got;
    struct span list = span_of(NULL, 0);
    bool right = false;
    hex_decode(hex, want.b, sizeof want.b);
    for (size_t i = 0; i < sources->policy->logs_n && !right && sources->client != NULL; i++) {
        struct buf url = BUF_EMPTY;
        struct span base;
        struct why trouble;
        if (!proofs_log_url(sources->config, sources->policy, i, &base))
            continue;
        buf_fmt(&url, "%.*s/inputs/%.*s", SPAN_FMT(base), SPAN_FMT(hex));
        buf_byte(&url, '\0');
        if (url.failed ||
            http_get(sources->client, (const char *)url.data, NULL, INPUT_LIST_BYTES_MAX, &response, &trouble) != OK) {
            note(fetch, "input list", &trouble);
        } else if (response.status == 200) {
            got = sha256_of(span_buf(&response.body));
            right = hash_eq(&got, &want);
            list = right ? span_buf(&response.body) : list;
        }
        buf_free(&url);
    }
    enum err err = fetch->sink->list(fetch->sink->ctx, hex, list, why);
    http_response_free(&response);
    return err;
}

/* The store's own word for a path, as a narinfo. */
static enum err info_of_store(const struct trail_sources *sources, struct span part, struct buf *out, struct why *why)
{
    struct nixdb_info info;
    bool found = false;
    enum err err = nixdb_part(sources->db, sources->env->store_dir, part, &info, &found, why);
    if (err == OK && found)
        err = local_narinfo(&info, out, why);
    nixdb_info_free(&info);
    return err;
}

static enum err fetch_info(struct fetch *fetch, struct span part, struct why *why)
{
    const struct trail_sources *sources = fetch->sources;
    struct gathered gathered = { 0 };
    struct why trouble;
    bool found = false;
    enum err err = sources->db == NULL ? OK : info_of_store(sources, part, &gathered.narinfo, why);
    found = gathered.narinfo.len > 0;
    for (size_t i = 0; i < sources->config->upstreams.n && !found && err == OK && sources->client != NULL; i++)
        if (gather_narinfo(&gathered, sources->client, sources->config->upstreams.items[i], part, &found, &trouble) != OK)
            note(fetch, sources->config->upstreams.items[i], &trouble);
    if (err == OK)
        err = fetch->sink->info(fetch->sink->ctx, part, found ? span_buf(&gathered.narinfo) : span_of(NULL, 0), why);
    gathered_free(&gathered);
    return err;
}

enum err trail_fetch(const struct trail_sources *sources, const struct trail_wants *wants, const struct trail_sink *sink,
                     struct buf *troubles, struct why *why)
{
    struct fetch fetch = { .sources = sources, .sink = sink, .troubles = troubles, .source = "" };
    struct span rest, line;
    enum err err = OK;
    if (wants->outputs.len > 0) {
        err = from_own_store(&fetch, wants->outputs, why);
        if (err == OK)
            err = from_logs(&fetch, wants->outputs, why);
        if (err == OK)
            err = sink->proofs(sink->ctx, wants->outputs, span_of(NULL, 0), "", why);
    }
    for (rest = wants->lists; err == OK && span_line(&rest, &line);)
        err = fetch_list(&fetch, line, why);
    for (rest = wants->infos; err == OK && span_line(&rest, &line);)
        err = fetch_info(&fetch, line, why);
    return err == OK ? buf_done(troubles, why) : err;
}
