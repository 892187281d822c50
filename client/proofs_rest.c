#include "client/proofs_rest.h"

#include <stdio.h>

#include "lib/dsse.h"
#include "lib/proof.h"
#include "lib/statement.h"
#include "lib/storepath.h"
#include "lib/sys/clock.h"

enum {
    ATTESTATIONS_MAX = 1024,                         /* of one builder and path */
    ANSWER_BYTES_MAX = 2 * BUNDLES_BYTES_MAX,        /* with what it left out */
    PATIENCE_MS = 60 * 1000,                         /* for what one answer left out */
    CUT_BYTES = BUNDLES_BYTES_MAX - PROOF_BYTES_MAX, /* from here on a log adds no more */
};

/* How many proofs in a row name a path: all of them, and those by one builder, in the order of their indices. */
struct streak {
    char part[HASH_PART_LEN];
    unsigned all, by_one;
};

struct scan {
    struct span builders, parts;
    struct buf *full; /* what is to be asked for: lines "HASHPART HEX" */
    struct streak streaks[SUBJECTS_MAX];
    size_t n;
    struct hash builder; /* of the last proof */
    uint64_t index;
};

static bool has_line(struct span lines, struct span wanted)
{
    struct span line;
    while (span_line(&lines, &line))
        if (span_eq(line, wanted))
            return true;
    return false;
}

static void add(struct scan *scan, struct span part, struct span hex)
{
    char text[HASH_PART_LEN + 1 + 64 + 1];
    snprintf(text, sizeof text, "%.*s %.*s", SPAN_FMT(part), SPAN_FMT(hex));
    if (!has_line(span_buf(scan->full), span_str(text)))
        buf_fmt(scan->full, "%s\n", text);
}

/* Who is not reached by an answer that is cut? It may be anybody. */
static void add_all(struct scan *scan, struct span part)
{
    struct span rest = scan->builders, line;
    while (span_line(&rest, &line))
        if (span_skip(&line, "builder "))
            add(scan, part, line);
}

static void add_one(struct scan *scan, struct span part)
{
    struct buf line = BUF_EMPTY;
    buf_str(&line, "builder ");
    hex_encode(&line, span_of(scan->builder.b, sizeof scan->builder.b));
    scan->full->failed |= line.failed;
    if (span_eq(scan->builders, PROOFS_OF_ANYBODY) || has_line(scan->builders, span_buf(&line)))
        add(scan, part, span_cut(span_buf(&line), 8, line.len - 8));
    buf_free(&line);
}

static void take_subjects(struct scan *scan, const struct statement *statement, bool same_builder)
{
    struct streak before[SUBJECTS_MAX];
    size_t before_n = scan->n;
    memcpy(before, scan->streaks, before_n * sizeof *before);
    scan->n = 0;
    for (size_t i = 0; i < statement->subjects_n && scan->n < SUBJECTS_MAX; i++) {
        struct storepath path;
        if (storepath_parse(&path, statement->subjects[i].path, NULL) != OK)
            continue;
        size_t at = 0;
        while (at < before_n && memcmp(before[at].part, path.hash_part.data, HASH_PART_LEN) != 0)
            at++;
        struct streak *streak = &scan->streaks[scan->n++];
        memcpy(streak->part, path.hash_part.data, HASH_PART_LEN);
        streak->all = 1 + (at < before_n ? before[at].all : 0);
        streak->by_one = 1 + (at < before_n && same_builder ? before[at].by_one : 0);
        bool cut = streak->all == LOOKUP_ENTRIES_MAX;
        if ((cut || streak->by_one == OUTPUT_ATTESTATIONS_MAX) && has_line(scan->parts, path.hash_part))
            (cut ? add_all : add_one)(scan, path.hash_part);
    }
}

/* A proof and what it holds. */
struct parsed {
    struct buf entry, payload;
    struct proof proof;
    struct envelope envelope;
    struct statement statement;
};

/* What is malformed is for whoever verifies it. */
static bool parse(struct parsed *out, struct span text)
{
    *out = (struct parsed){ 0 };
    return proof_next(&out->proof, &text, NULL) == OK && proof_extra(&out->proof, &out->entry) &&
           envelope_parse(&out->envelope, span_buf(&out->entry), &out->payload, NULL) == OK &&
           statement_parse(&out->statement, out->envelope.payload, NULL) == OK;
}

static void parsed_free(struct parsed *parsed)
{
    statement_free(&parsed->statement);
    buf_free(&parsed->entry);
    buf_free(&parsed->payload);
}

static void take_proof(struct scan *scan, struct span text)
{
    struct buf key = BUF_EMPTY;
    struct parsed parsed;
    if (parse(&parsed, text)) {
        vkey_render(&key, &parsed.envelope.key);
        struct hash builder = sha256_of(span_buf(&key));
        bool same_builder = hash_eq(&builder, &scan->builder) && parsed.proof.index > scan->index;
        scan->builder = builder;
        scan->index = parsed.proof.index;
        take_subjects(scan, &parsed.statement, same_builder);
    }
    scan->full->failed |= parsed.entry.failed || parsed.payload.failed || key.failed;
    parsed_free(&parsed);
    buf_free(&key);
}

static void take_run(struct scan *scan, struct span run)
{
    struct proof_outline outline;
    scan->n = 0;
    while (run.len > 0 && proof_outline_next(&outline, &run))
        take_proof(scan, outline.text);
}

/* Which builders and paths have more than the answer holds? A builder's attestations of a path come one after another, in the order
 * of their indices: only where that many do is more of them read than their outlines. */
static void find_full(struct scan *scan, struct span answer)
{
    struct span rest = answer, run = answer, first = scan->parts, part;
    struct proof_outline outline;
    size_t all = 0, n = 0;
    uint64_t before = 0;
    while (rest.len > 0 && proof_outline_next(&outline, &rest)) {
        if (n > 0 && outline.index <= before) {
            if (n >= OUTPUT_ATTESTATIONS_MAX)
                take_run(scan, span_of(run.data, (size_t)(outline.text.data - run.data)));
            run = outline.text;
            n = 0;
        }
        before = outline.index;
        n++;
        all++;
    }
    if (n >= OUTPUT_ATTESTATIONS_MAX)
        take_run(scan, span_of(run.data, (size_t)(rest.data - run.data)));
    if (all >= LOOKUP_ENTRIES_MAX)
        take_run(scan, answer);
    /* Only the answer about the first path is ever cut for its bytes. */
    if (answer.len >= CUT_BYTES && span_line(&first, &part))
        add_all(scan, part);
}

/* How many proofs this is, and the index of the last one. ERR_ENV where it is something else. */
static enum err count(struct span page, const char *url, size_t *n, uint64_t *last, struct why *why)
{
    struct proof_outline outline;
    for (*n = 0; page.len > 0; ++*n) {
        if (!proof_outline_next(&outline, &page) || (*n > 0 && outline.index <= *last))
            return fail(why, ERR_ENV, "%s: proof %zu of its answer does not parse, or is out of order", url, *n + 1);
        *last = outline.index;
    }
    return OK;
}

/* A page of what a builder attested of a path; *n proofs, none where there are no more. */
static enum err ask_page(struct http_client *client, const char *url, struct buf *answer, size_t *n, uint64_t *last,
                         struct why *why)
{
    struct http_response response = { 0 };
    *n = 0;
    enum err err = http_get(client, url, NULL, BUNDLES_BYTES_MAX, &response, why);
    if (err == OK && response.status != 200 && response.status != 404)
        err = fail(why, ERR_ENV, "%s answered with status %u", url, response.status);
    if (err == OK && response.status == 200) {
        err = count(span_buf(&response.body), url, n, last, why);
        buf_span(answer, span_buf(&response.body));
    }
    http_response_free(&response);
    return err == OK ? buf_done(answer, why) : err;
}

/* What is too much, or too late, is not asked for. */
static enum err within_limits(struct span base, struct span part, size_t all, const struct buf *answer, uint64_t until_ms,
                              struct why *why)
{
    if (all > ATTESTATIONS_MAX || answer->len > ANSWER_BYTES_MAX)
        return fail(why, ERR_ENV, "not complete: more than %d attestations of %.*s by one builder, or %d bytes of one answer",
                    ATTESTATIONS_MAX, SPAN_FMT(part), ANSWER_BYTES_MAX);
    if (clock_monotonic_ms() > until_ms)
        return fail(why, ERR_ENV, "not complete: %.*s takes more than %d s to give all attestations of %.*s", SPAN_FMT(base),
                    PATIENCE_MS / 1000, SPAN_FMT(part));
    return OK;
}

/* All that one builder attested of one path. */
static enum err ask_all(struct http_client *client, struct span base, struct span part, struct span hex, uint64_t until_ms,
                        struct buf *answer, struct why *why)
{
    struct buf url = BUF_EMPTY;
    size_t all = 0, n = OUTPUT_ATTESTATIONS_MAX;
    uint64_t last = 0;
    enum err err = within_limits(base, part, all, answer, until_ms, why);
    while (err == OK && n >= OUTPUT_ATTESTATIONS_MAX) {
        uint64_t before = last;
        buf_clear(&url);
        buf_fmt(&url, "%.*s/output/%.*s?builder=%.*s", SPAN_FMT(base), SPAN_FMT(part), SPAN_FMT(hex));
        if (all > 0)
            buf_fmt(&url, "&after=%llu", (unsigned long long)last);
        buf_byte(&url, '\0');
        err = buf_done(&url, why);
        if (err == OK)
            err = ask_page(client, (const char *)url.data, answer, &n, &last, why);
        if (err == OK && all > 0 && n > 0 && last <= before)
            err = fail(why, ERR_ENV, "%s gave what was not asked for", (const char *)url.data);
        all += n;
        if (err == OK && n > 0)
            err = within_limits(base, part, all, answer, until_ms, why);
    }
    buf_free(&url);
    return err;
}

bool proofs_missing(struct span missing, struct span hash_part)
{
    struct span line;
    while (span_line(&missing, &line))
        if (span_eq(span_cut(line, 0, hash_part.len), hash_part))
            return true;
    return false;
}

/* Would the log have given this proof, had it not been asked for what is missing? */
static bool belongs(struct span text, struct span hash_parts, struct span missing)
{
    struct parsed parsed;
    struct storepath path;
    bool malformed = !parse(&parsed, text), names_missing = false, names_other = false;
    for (size_t i = 0; i < parsed.statement.subjects_n && !names_other; i++) {
        if (storepath_parse(&path, parsed.statement.subjects[i].path, NULL) != OK)
            continue;
        bool is_missing = proofs_missing(missing, path.hash_part);
        names_missing |= is_missing;
        names_other = !is_missing && has_line(hash_parts, path.hash_part);
    }
    parsed_free(&parsed);
    return malformed || !names_missing || names_other;
}

static void leave_out(struct buf *answer, struct span hash_parts, struct span missing)
{
    struct buf kept = BUF_EMPTY;
    struct proof_outline outline;
    struct span rest = span_buf(answer);
    while (rest.len > 0 && proof_outline_next(&outline, &rest))
        if (belongs(outline.text, hash_parts, missing))
            buf_span(&kept, outline.text);
    buf_span(&kept, rest);
    kept.failed |= answer->failed;
    buf_free(answer);
    *answer = kept;
}

/* `full` are lines "HASHPART HEX". */
static void ask_for_full(struct http_client *client, struct span base, struct span full, bool anybody, struct buf *answer,
                         struct buf *missing)
{
    struct span line, part = { 0 }, hex = { 0 };
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (span_line(&full, &line)) {
        struct why why;
        size_t before = answer->len;
        span_word(&line, &part);
        span_word(&line, &hex);
        if ((!anybody && proofs_missing(span_buf(missing), part)) ||
            ask_all(client, base, part, hex, until_ms, answer, &why) == OK)
            continue;
        buf_fmt(missing, "%.*s %s\n", SPAN_FMT(part), why.text);
        if (!anybody)
            answer->len = before; /* room for the others */
    }
}

enum err proofs_rest(struct http_client *client, struct span base, struct span builders, struct span hash_parts, struct buf *answer,
                     struct buf *missing, struct why *why)
{
    struct buf full = BUF_EMPTY;
    struct scan scan = { .builders = builders, .parts = hash_parts, .full = &full };
    bool anybody = span_eq(builders, PROOFS_OF_ANYBODY);
    if (builders.len > 0)
        find_full(&scan, span_buf(answer));
    enum err err = buf_done(&full, why);
    if (err == OK)
        ask_for_full(client, base, span_buf(&full), anybody, answer, missing);
    if (missing->len > 0 && !anybody)
        leave_out(answer, hash_parts, span_buf(missing));
    buf_free(&full);
    if (err == OK)
        err = buf_done(missing, why);
    return err == OK ? buf_done(answer, why) : err;
}
