#include "client/gather.h"

#include <stdlib.h>

#include "client/look_up.h"
#include "client/proofs_trim.h"

void gathered_free(struct gathered *gathered)
{
    for (size_t i = 0; i < gathered->n; i++) {
        buf_free(&gathered->bundles[i]);
        free(gathered->names[i]);
    }
    buf_free(&gathered->narinfo);
    buf_free(&gathered->troubles);
    buf_free(&gathered->sidecar);
    *gathered = (struct gathered){ 0 };
}

static void narinfo_url(struct buf *out, const char *upstream, struct span hash_part)
{
    buf_fmt(out, "%s/%.*s.narinfo", upstream, SPAN_FMT(hash_part));
    buf_byte(out, '\0');
}

/* What came of asking for the narinfo. */
static enum err take_narinfo(struct gathered *gathered, enum err err, const struct http_response *response, const char *url,
                             bool *found, struct why *why)
{
    if (err == ERR_ENV && response->too_large)
        return fail(why, ERR_MALFORMED, "the cache's narinfo is malformed: more than %d bytes", NARINFO_BYTES_MAX);
    if (err != OK || response->status == 404 || response->status == 403 || response->status == 410)
        return err;
    if (response->status != 200) {
        bool trouble = response->status >= 500 || response->status == 408 || response->status == 429;
        return fail(why, trouble ? ERR_ENV : ERR_REFUSED, "%s answered with status %u", url, response->status);
    }
    buf_clear(&gathered->narinfo);
    buf_span(&gathered->narinfo, span_buf(&response->body));
    err = buf_done(&gathered->narinfo, why);
    *found = err == OK;
    return err;
}

enum err gather_narinfo(struct gathered *gathered, struct http_client *client, const char *upstream, struct span hash_part,
                        bool *found, struct why *why)
{
    struct buf url = BUF_EMPTY;
    struct http_response response = { 0 };
    *found = false;
    narinfo_url(&url, upstream, hash_part);
    enum err err = buf_done(&url, why);
    if (err == OK) {
        err = http_get(client, (const char *)url.data, NULL, NARINFO_BYTES_MAX, &response, why);
        err = take_narinfo(gathered, err, &response, (const char *)url.data, found, why);
    }
    http_response_free(&response);
    buf_free(&url);
    return err;
}

enum err gather_narinfo_with_sidecar(struct gathered *gathered, struct http_client *client, const char *upstream,
                                     struct span hash_part, bool *found, struct why *why)
{
    struct buf urls[2] = { BUF_EMPTY, BUF_EMPTY };
    struct http_response narinfo = { 0 }, sidecar = { 0 };
    *found = false;
    narinfo_url(&urls[0], upstream, hash_part);
    proofs_sidecar_url(&urls[1], upstream, hash_part);
    enum err err = urls[0].failed || urls[1].failed ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK) {
        struct http_get gets[2] = { { (const char *)urls[0].data, NARINFO_BYTES_MAX, &narinfo, OK, { "" } },
                                    { (const char *)urls[1].data, BUNDLES_BYTES_MAX, &sidecar, OK, { "" } } };
        http_get_both(client, gets);
        *why = gets[0].why;
        err = take_narinfo(gathered, gets[0].err, &narinfo, gets[0].url, found, why);
        gathered->sidecar_asked = true;
        gathered->sidecar_trouble = gets[1].why;
        gathered->sidecar_err =
            gets[1].err != OK ? gets[1].err : proofs_take(&sidecar, gets[1].url, &gathered->sidecar, &gathered->sidecar_trouble);
    }
    http_response_free(&narinfo);
    http_response_free(&sidecar);
    buf_free(&urls[0]);
    buf_free(&urls[1]);
    return err;
}

/* Takes a slot for a source called `kind` `name`; NULL where there is none left or memory is short. */
static struct buf *slot(struct gathered *gathered, const char *kind, struct span name)
{
    if (gathered->n == GATHER_SOURCES_MAX)
        return NULL;
    struct buf text = BUF_EMPTY;
    buf_str(&text, kind);
    buf_span(&text, name);
    buf_byte(&text, '\0');
    if (text.failed) {
        buf_free(&text);
        return NULL;
    }
    gathered->names[gathered->n] = (char *)text.data;
    return &gathered->bundles[gathered->n];
}

/* Keeps a source that gave something; notes the trouble of one that could not be asked. */
static enum err settle(struct gathered *gathered, enum err err, struct why *trouble, struct why *why)
{
    struct buf *bundles = &gathered->bundles[gathered->n];
    char **name = &gathered->names[gathered->n];
    if (err != OK)
        buf_fmt(&gathered->troubles, "  %s: %s\n", *name, trouble->text);
    else if (bundles->len > GATHER_SOURCE_BYTES_MAX)
        buf_fmt(&gathered->troubles, "  %s: more than %d bytes of proofs\n", *name, GATHER_SOURCE_BYTES_MAX);
    if (err != OK || bundles->len == 0 || bundles->len > GATHER_SOURCE_BYTES_MAX) {
        buf_free(bundles);
        free(*name);
        *name = NULL;
    } else {
        gathered->sources[gathered->n] = (struct judge_source){ *name, span_buf(bundles) };
        gathered->n++;
    }
    return buf_done(&gathered->troubles, why);
}

void gather_explain(const struct gathered *gathered, struct why *why)
{
    struct span rest = span_buf(&gathered->troubles), first, line;
    size_t more = 0;
    if (!span_line(&rest, &first))
        return;
    while (span_skip(&first, " ")) {
    }
    while (span_line(&rest, &line))
        more++;
    struct why before = *why;
    if (more == 0)
        fail(why, OK, "%s; but not every source answered: %.*s", before.text, SPAN_FMT(first));
    else
        fail(why, OK, "%s; but not every source answered: %.*s; and %zu more", before.text, SPAN_FMT(first), more);
}

enum err gather_own(struct gathered *gathered, const struct client_config *config, struct span hash_part, struct why *why)
{
    struct why trouble;
    struct buf *bundles = slot(gathered, "own store", span_str(""));
    if (bundles == NULL)
        return fail(why, ERR_ENV, "out of memory");
    return settle(gathered, proofs_own(config, hash_part, bundles, &trouble), &trouble, why);
}

enum err gather_sidecar(struct gathered *gathered, struct http_client *client, const char *upstream, struct span hash_part,
                        struct why *why)
{
    struct why trouble = gathered->sidecar_trouble;
    enum err err = gathered->sidecar_err;
    struct buf *bundles = slot(gathered, "sidecar of ", span_str(upstream));
    if (bundles == NULL)
        return fail(why, ERR_ENV, "out of memory");
    size_t before = gathered->n;
    if (gathered->sidecar_asked) {
        *bundles = gathered->sidecar;
        gathered->sidecar = BUF_EMPTY;
    } else {
        err = proofs_sidecar(client, upstream, hash_part, bundles, &trouble);
    }
    err = settle(gathered, err, &trouble, why);
    gathered->has_sidecar = gathered->n > before;
    return err;
}

enum err gather_logs_by(struct gathered *gathered, const struct client_config *config, const struct policy *policy,
                        struct span hash_part, bool anew, const struct gather_asker *asker, struct why *why)
{
    enum err err = OK;
    size_t answered = 0, most = anew ? GATHER_SOURCES_MAX : GATHER_SOURCES_MAX - 1;
    for (size_t i = 0; i < policy->logs_n && gathered->n < most && err == OK; i++) {
        struct span url;
        struct why trouble;
        if (!proofs_log_url(config, policy, i, &url))
            continue;
        if (gathered->has_log[i]) {
            answered++;
            continue;
        }
        struct buf *bundles = slot(gathered, "log ", policy->logs[i].key.name);
        if (bundles == NULL)
            return fail(why, ERR_ENV, "out of memory");
        size_t before = gathered->n, troubles = gathered->troubles.len;
        enum err asked = asker->ask(asker->ctx, i, hash_part, anew, bundles, &trouble);
        err = settle(gathered, anew ? asked : OK, &trouble, why);
        gathered->has_log[i] = gathered->n > before;
        answered += err == OK && (gathered->has_log[i] || (anew && gathered->troubles.len == troubles));
        if (!anew)
            gathered->troubles.len = troubles;
    }
    gathered->looked_up = answered == policy->logs_n;
    return err;
}

struct direct {
    struct http_client *client;
    const struct client_config *config;
    const struct policy *policy;
    struct buf builders;
};

static enum err ask_directly(void *ctx, size_t log, struct span hash_part, bool anew, struct buf *bundles, struct why *why)
{
    const struct direct *direct = ctx;
    (void)anew;
    struct span builders = span_buf(&direct->builders);
    enum err err = look_up(direct->client, direct->config, direct->policy, log, hash_part, builders, bundles, why);
    return err == OK ? proofs_trim(bundles, builders, proofs_room(direct->policy->logs_n), why) : err;
}

enum err gather_logs(struct gathered *gathered, struct http_client *client, const struct client_config *config,
                     const struct policy *policy, const struct trust *trust, struct span hash_part, struct why *why)
{
    struct direct direct = { client, config, policy, BUF_EMPTY };
    struct gather_asker asker = { ask_directly, &direct };
    proofs_builders(&direct.builders, trust);
    enum err err = buf_done(&direct.builders, why);
    if (err == OK)
        err = gather_logs_by(gathered, config, policy, hash_part, true, &asker, why);
    buf_free(&direct.builders);
    return err;
}

static bool escapes_upstream(struct span url)
{
    struct span rest = url;
    while (rest.len > 0) {
        ptrdiff_t slash = span_find(rest, '/');
        struct span part = slash < 0 ? rest : span_of(rest.data, (size_t)slash);
        rest = slash < 0 ? span_of(NULL, 0) : span_of(rest.data + slash + 1, rest.len - (size_t)slash - 1);
        if (span_is(part, "..") || span_is(part, "."))
            return true;
        if (span_find(part, '?') >= 0)
            break;
    }
    for (size_t i = 0; i < url.len; i++) {
        uint8_t c = url.data[i];
        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '#')
            return true;
        /* An escaped dot or slash could become a step upwards behind our back. */
        if (c == '%' && i + 2 < url.len && url.data[i + 1] == '2' && strchr("eEfF", url.data[i + 2]) != NULL)
            return true;
    }
    return false;
}

enum err gather_url(struct buf *out, const char *upstream, struct span url, struct why *why)
{
    struct span rest = url;
    if (span_skip(&rest, upstream) && !span_skip(&rest, "/"))
        rest = url;
    bool has_scheme = span_find(rest, ':') >= 0 && (span_find(rest, '?') < 0 || span_find(rest, ':') < span_find(rest, '?'));
    if (rest.len == 0 || rest.data[0] == '/' || has_scheme || escapes_upstream(rest))
        return fail(why, ERR_REFUSED, "the narinfo's URL %.*s leads away from the cache %s", SPAN_FMT(url), upstream);
    buf_fmt(out, "%s/%.*s", upstream, SPAN_FMT(rest));
    return buf_done(out, why);
}
