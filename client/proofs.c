#include "client/proofs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/proofs_rest.h"
#include "lib/checkpoint.h"
#include "lib/sys/file.h"

static char *own_path(const struct client_config *config, struct span hash_part)
{
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "%s/proofs/%.*s.tlog-proof", config->state, SPAN_FMT(hash_part));
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

enum err proofs_own(const struct client_config *config, struct span hash_part, struct buf *bundles, struct why *why)
{
    bool found;
    char *path = own_path(config, hash_part);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, BUNDLES_BYTES_MAX, bundles, &found, why);
    free(path);
    return err;
}

bool proofs_has(const struct client_config *config, struct span hash_part)
{
    char *path = own_path(config, hash_part);
    bool has = path != NULL && access(path, F_OK) == 0;
    free(path);
    return has;
}

/* The origin of a proof's checkpoint: its first line. */
static struct span origin_of(const struct proof *proof)
{
    struct span rest = proof->checkpoint, line = { 0 };
    span_line(&rest, &line);
    return line;
}

/* All of `old` but the proof that `proof` takes the place of. A store that does not parse is not worth keeping. */
static enum err keep_others(struct buf *out, struct span old, const struct proof *proof, struct why *why)
{
    while (old.len > 0) {
        struct proof other;
        enum err err = proof_next(&other, &old, why);
        if (err != OK)
            return err == ERR_MALFORMED ? OK : err;
        if (other.index != proof->index || !span_eq(origin_of(&other), origin_of(proof)))
            buf_span(out, other.text);
    }
    return OK;
}

enum err proofs_keep(const struct client_config *config, struct span hash_part, const struct proof *proof, bool durable,
                     struct why *why)
{
    struct buf old = BUF_EMPTY, merged = BUF_EMPTY;
    char *path = own_path(config, hash_part), *dir = path_join(config->state, "proofs");
    bool found;
    enum err err = path == NULL || dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0755, why);
    if (err == OK)
        err = file_read_if(path, BUNDLES_BYTES_MAX, &old, &found, why);
    if (err == OK)
        err = keep_others(&merged, span_buf(&old), proof, why);
    if (err == OK) {
        buf_span(&merged, proof->text);
        err = buf_done(&merged, why);
    }
    /* The same bytes are not known to be durable: whoever wrote them may have been killed, or told that they are on no disk. */
    if (err == OK && (durable || !span_eq(span_buf(&old), span_buf(&merged))))
        err = durable ? file_replace(path, 0644, span_buf(&merged), why) : file_replace_soft(path, 0644, span_buf(&merged), why);
    buf_free(&old);
    buf_free(&merged);
    free(path);
    free(dir);
    return err;
}

enum err proofs_put(const struct client_config *config, struct span hash_part, const struct proof *proof, struct why *why)
{
    bool exists = false;
    char *path = own_path(config, hash_part);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_create_soft(path, 0644, proof->text, &exists, why);
    free(path);
    return err == OK && exists ? proofs_keep(config, hash_part, proof, true, why) : err;
}

enum err proofs_make(const struct client_config *config, struct why *why)
{
    char *dir = path_join(config->state, "proofs");
    enum err err = dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0755, why);
    free(dir);
    return err;
}

/* Nothing where the server says that it has none. */
enum err proofs_take(const struct http_response *response, const char *url, struct buf *bundles, struct why *why)
{
    if (response->status == 404 || response->status == 403 || response->status == 410)
        return OK;
    if (response->status != 200)
        return fail(why, ERR_ENV, "%s answered with status %u", url, response->status);
    buf_span(bundles, span_buf(&response->body));
    return buf_done(bundles, why);
}

void proofs_sidecar_url(struct buf *out, const char *base_url, struct span hash_part)
{
    buf_fmt(out, "%s/%.*s.tlog-proof", base_url, SPAN_FMT(hash_part));
    buf_byte(out, '\0');
}

enum err proofs_sidecar(struct http_client *client, const char *base_url, struct span hash_part, struct buf *bundles,
                        struct why *why)
{
    struct buf url = BUF_EMPTY;
    struct http_response response = { 0 };
    proofs_sidecar_url(&url, base_url, hash_part);
    enum err err = buf_done(&url, why);
    if (err == OK)
        err = http_get(client, (const char *)url.data, NULL, BUNDLES_BYTES_MAX, &response, why);
    if (err == OK)
        err = proofs_take(&response, (const char *)url.data, bundles, why);
    http_response_free(&response);
    buf_free(&url);
    return err;
}

bool proofs_log_url(const struct client_config *config, const struct policy *policy, size_t log, struct span *url)
{
    *url = config->log_url != NULL ? span_str(config->log_url) : policy->logs[log].url;
    while (url->len > 0 && url->data[url->len - 1] == '/')
        url->len--;
    return url->len > 0;
}

void proofs_builders(struct buf *out, const struct trust *trust)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < trust->parties_n; i++) {
        if (trust->parties[i].cache)
            continue;
        buf_clear(&text);
        vkey_render(&text, &trust->parties[i].key);
        struct hash hash = sha256_of(span_buf(&text));
        buf_str(out, "builder ");
        hex_encode(out, span_of(hash.b, sizeof hash.b));
        buf_byte(out, '\n');
        out->failed |= text.failed;
    }
    buf_free(&text);
}

/* Of a line "HASHPART REASON". */
static enum err take_reason(struct span line, struct why *why)
{
    return fail(why, ERR_ENV, "%.*s", SPAN_FMT(span_cut(line, HASH_PART_LEN + 1, line.len - HASH_PART_LEN - 1)));
}

enum err proofs_log(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                    struct span hash_part, struct span builders, struct buf *bundles, struct why *why)
{
    struct buf url = BUF_EMPTY, line = BUF_EMPTY, missing = BUF_EMPTY;
    struct http_response response = { 0 };
    struct span base, rest, missed;
    if (!proofs_log_url(config, policy, log, &base))
        return OK;
    buf_fmt(&line, "%.*s\n", SPAN_FMT(hash_part));
    buf_fmt(&url, "%.*s/output/%.*s", SPAN_FMT(base), SPAN_FMT(hash_part));
    buf_byte(&url, '\0');
    enum err err = url.failed || line.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = http_get(client, (const char *)url.data, NULL, BUNDLES_BYTES_MAX, &response, why);
    if (err == OK && response.status != 200 && response.status != 404)
        err = fail(why, ERR_ENV, "%s answered with status %u", (const char *)url.data, response.status);
    if (err == OK && response.status == 200) {
        err = proofs_rest(client, base, builders, span_buf(&line), &response.body, &missing, why);
        buf_span(bundles, span_buf(&response.body));
    }
    rest = span_buf(&missing);
    if (err == OK && span_line(&rest, &missed))
        err = take_reason(missed, why);
    http_response_free(&response);
    buf_free(&url);
    buf_free(&line);
    buf_free(&missing);
    return err == OK ? buf_done(bundles, why) : err;
}

/* Takes the first `n` lines off `rest`; false where it has fewer. */
static bool take_lines(struct span *rest, uint64_t n, struct span *out)
{
    struct span from = *rest, line;
    for (; n > 0; n--)
        if (!span_line(rest, &line))
            return false;
    *out = span_cut(from, 0, from.len - rest->len);
    return true;
}

/* One request for many, and what came of it. */
struct many {
    struct http_client *client;
    struct span base;
    const struct proofs_asked *asked;
    struct span rest; /* the hash parts that no answer was for yet */
    struct buf url, body;
    struct buf missing; /* of this answer: lines "HASHPART REASON" */
    struct http_response response;
    struct why missed; /* the first reason that `missed` was not told; empty: none */
};

static void tell_missing(struct many *many, const struct proofs_taker *taker)
{
    struct span rest = span_buf(&many->missing), line;
    bool anybody = span_eq(many->asked->builders, PROOFS_OF_ANYBODY);
    while (span_line(&rest, &line)) {
        struct why why;
        take_reason(line, &why);
        if (anybody)
            fprintf(stderr, "%s\n", why.text);
        else if (taker->missed != NULL)
            taker->missed(taker->ctx, span_cut(line, 0, HASH_PART_LEN), &why);
        else if (many->missed.text[0] == '\0')
            many->missed = why;
    }
}

/* `answered`, but for those of which something is missing. */
static enum err take_answer(struct many *many, const struct proofs_taker *taker, struct span answered, struct why *why)
{
    struct buf whole = BUF_EMPTY;
    struct span rest = answered, line;
    bool part_missing = many->missing.len > 0 && !span_eq(many->asked->builders, PROOFS_OF_ANYBODY);
    while (part_missing && span_line(&rest, &line))
        if (!proofs_missing(span_buf(&many->missing), line))
            buf_fmt(&whole, "%.*s\n", SPAN_FMT(line));
    enum err err = buf_done(&whole, why);
    if (err == OK && (!part_missing || whole.len > 0))
        err = taker->take(taker->ctx, part_missing ? span_buf(&whole) : answered, span_buf(&many->response.body), why);
    buf_free(&whole);
    return err;
}

/* What is answered for is taken off `rest`. */
static enum err ask_many(struct many *many, const struct proofs_taker *taker, struct why *why)
{
    const char *url = (const char *)many->url.data;
    struct http_response *response = &many->response;
    struct span answered = many->rest;
    buf_clear(&many->body);
    if (many->asked->alone)
        buf_span(&many->body, many->asked->builders);
    buf_span(&many->body, many->rest);
    enum err err = buf_done(&many->body, why);
    if (err == OK)
        err = http_post(many->client, url, "text/plain", span_buf(&many->body), BUNDLES_BYTES_MAX + PROOF_BYTES_MAX, response, why);
    if (err != OK)
        return err;
    if (response->status == 404 && response->answered == 0)
        many->rest = span_of(NULL, 0); /* none of all that was asked */
    else if (response->status != 200 && response->status != 404)
        return fail(why, ERR_ENV, "%s answered with status %u", url, response->status);
    else if (response->answered == 0 || !take_lines(&many->rest, response->answered, &answered))
        return fail(why, ERR_ENV, "%s does not say how much it answered (Stele-Answered)", url);
    buf_clear(&many->missing);
    if (response->status == 404)
        buf_clear(&response->body);
    else
        err = proofs_rest(many->client, many->base, many->asked->builders, answered, &response->body, &many->missing, why);
    if (err != OK)
        return err;
    tell_missing(many, taker);
    return take_answer(many, taker, answered, why);
}

enum err proofs_log_many(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                         const struct proofs_asked *asked, const struct proofs_taker *taker, struct why *why)
{
    struct many many = { .client = client, .asked = asked, .rest = asked->hash_parts };
    if (!proofs_log_url(config, policy, log, &many.base))
        return OK;
    buf_fmt(&many.url, "%.*s/outputs", SPAN_FMT(many.base));
    buf_byte(&many.url, '\0');
    enum err err = buf_done(&many.url, why);
    while (err == OK && many.rest.len > 0)
        err = ask_many(&many, taker, why);
    if (err == OK && many.missed.text[0] != '\0')
        err = fail(why, ERR_ENV, "%s", many.missed.text);
    http_response_free(&many.response);
    buf_free(&many.missing);
    buf_free(&many.body);
    buf_free(&many.url);
    return err;
}
