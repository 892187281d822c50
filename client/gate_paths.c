#include "client/gate.h"

#include <stdlib.h>
#include <time.h>

#include "client/refusals.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"

/* What asking one upstream came to. */
enum outcome {
    PASSES,
    ABSENT,  /* it does not have the path */
    REFUSED, /* it has, and it does not pass */
    TROUBLE, /* it gave no answer; another time it may */
    BROKEN,  /* the gate itself is */
};

struct search {
    struct gate *gate;
    struct http_client *client;
    struct span hash_part;
    const struct hash *nar_hash; /* NULL for a narinfo request */
    struct gate_path *out;
    struct why *refusal;
};

void gate_path_free(struct gate_path *path)
{
    free(path->nar_url);
    free(path->compression);
    buf_free(&path->narinfo);
    *path = (struct gate_path){ 0 };
}

static enum err copy_path(struct gate_path *out, const struct gate_path *path, struct why *why)
{
    *out = *path;
    out->next = NULL;
    out->narinfo = BUF_EMPTY;
    buf_span(&out->narinfo, span_buf(&path->narinfo));
    out->nar_url = span_dup_str(span_str(path->nar_url));
    out->compression = span_dup_str(span_str(path->compression));
    if (out->nar_url != NULL && out->compression != NULL && !out->narinfo.failed)
        return OK;
    gate_path_free(out);
    return fail(why, ERR_ENV, "out of memory");
}

static struct gate_path **bucket_of(struct gate *gate, struct span hash_part)
{
    struct hash digest = sha256_of(hash_part);
    return &gate->buckets[get_be32(digest.b) % (sizeof gate->buckets / sizeof *gate->buckets)];
}

bool gate_remembers(struct gate *gate, struct span hash_part, const struct hash *nar_hash, struct gate_path *out)
{
    bool found = false;
    pthread_mutex_lock(&gate->lock);
    for (struct gate_path *p = *bucket_of(gate, hash_part); p != NULL && !found; p = p->next)
        if (span_is(hash_part, p->hash_part) && p->until_ms > clock_monotonic_ms() && hash_eq(&p->nar_hash, nar_hash))
            found = copy_path(out, p, NULL) == OK;
    pthread_mutex_unlock(&gate->lock);
    return found;
}

static void drop_paths(struct gate *gate)
{
    for (size_t i = 0; i < sizeof gate->buckets / sizeof *gate->buckets; i++)
        while (gate->buckets[i] != NULL) {
            struct gate_path *path = gate->buckets[i];
            gate->buckets[i] = path->next;
            gate_path_free(path);
            free(path);
        }
    gate->paths_n = 0;
}

/* Best effort: what is not remembered is judged again. */
static void remember(struct gate *gate, const struct gate_path *path)
{
    struct gate_path *copy = malloc(sizeof *copy);
    if (copy == NULL || copy_path(copy, path, NULL) != OK) {
        free(copy);
        return;
    }
    pthread_mutex_lock(&gate->lock);
    if (gate->paths_n == GATE_PATHS_MAX)
        drop_paths(gate);
    struct gate_path **at = bucket_of(gate, span_str(path->hash_part));
    while (*at != NULL && strcmp((*at)->hash_part, path->hash_part) != 0)
        at = &(*at)->next;
    if (*at != NULL) {
        struct gate_path *old = *at;
        copy->next = old->next;
        gate_path_free(old);
        free(old);
    } else {
        gate->paths_n++;
    }
    *at = copy;
    pthread_mutex_unlock(&gate->lock);
}

void gate_forget(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    drop_paths(gate);
    pthread_mutex_unlock(&gate->lock);
}

void gate_shun(struct gate *gate, const struct gate_path *path, bool wrong)
{
    pthread_mutex_lock(&gate->lock);
    struct gate_shunned *at = &gate->shunned[gate->shunned_next++ % GATE_SHUNNED_MAX];
    gate->shunned_n += gate->shunned_n < GATE_SHUNNED_MAX;
    *at = (struct gate_shunned){ .upstream = path->upstream, .wrong = wrong, .until_ms = clock_monotonic_ms() + GATE_SHUNNED_MS };
    memcpy(at->hash_part, path->hash_part, sizeof at->hash_part);
    for (struct gate_path **p = bucket_of(gate, span_str(path->hash_part)); *p != NULL; p = &(*p)->next)
        if (strcmp((*p)->hash_part, path->hash_part) == 0) {
            struct gate_path *gone = *p;
            *p = gone->next;
            gate_path_free(gone);
            free(gone);
            gate->paths_n--;
            break;
        }
    pthread_mutex_unlock(&gate->lock);
}

static enum err accept(struct search *search, size_t upstream, const struct gathered *gathered, const struct gate_answer *answer)
{
    struct gate *gate = search->gate;
    struct gate_path *out = search->out;
    struct why *why = search->refusal;
    struct narinfo info = { 0 };
    struct buf url = BUF_EMPTY;
    enum err err = narinfo_parse(&info, span_buf(&gathered->narinfo), span_str(gate->dir), why);
    if (err == OK)
        err = gather_url(&url, gate->upstreams[upstream].url, info.url, why);
    if (err == OK && search->nar_hash != NULL && !hash_eq(search->nar_hash, &answer->nar_hash))
        err = fail(why, ERR_REFUSED, "the cache now has other bytes for this path");
    if (err != OK)
        goto out;
    *out = (struct gate_path){ .until_ms = clock_monotonic_ms() + GATE_VERDICT_S * 1000,
                               .nar_hash = answer->nar_hash,
                               .nar_size = answer->nar_size,
                               .upstream = upstream };
    memcpy(out->hash_part, info.path.hash_part.data, HASH_PART_LEN);
    out->nar_url = span_dup_str(span_buf(&url));
    out->compression = span_dup_str(info.compression);
    buf_span(&out->narinfo, answer->narinfo);
    if (out->nar_url == NULL || out->compression == NULL || out->narinfo.failed) {
        gate_path_free(out);
        err = fail(why, ERR_ENV, "out of memory");
        goto out;
    }
    gate_keep(gate->keeper, info.path.hash_part, answer->proofs);
    report(answer->by_warning ? REPORT_WARN : REPORT_INFO, answer->by_warning ? "passed-by-warning" : "passed",
           "path=%.*s why=\"%.*s\" by=\"%.*s\"", SPAN_FMT(info.path.path), SPAN_FMT(answer->why), SPAN_FMT(answer->summary));
    if (answer->by_warning)
        refusals_add_warned(gate->config, info.path.hash_part, answer->why, answer->tree);
out:
    narinfo_free(&info);
    buf_free(&url);
    return err;
}

static enum err ask_signer(struct gate *gate, const struct gathered *gathered, struct span hash_part, struct gate_answer *answer,
                           struct why *why)
{
    struct judge_question question = {
        .narinfo = span_buf(&gathered->narinfo),
        .hash_part = hash_part,
        .sources = gathered->sources,
        .n = gathered->n,
        .looked_up = gathered->looked_up,
    };
    return gate_signer_judge(gate->signer, &question, answer, why);
}

/* `inputs attested`: the signer wants to know of what the path was built from; with `recalled` what it knows already. */
static enum err follow_inputs(const struct search *search, struct gathered *gathered, bool recalled, struct gate_answer *answer,
                              struct why *why)
{
    struct gate *gate = search->gate;
    struct trust trust = { 0 };
    struct judge_question question = {
        .narinfo = span_buf(&gathered->narinfo),
        .hash_part = search->hash_part,
        .sources = gathered->sources,
        .n = gathered->n,
        .looked_up = gathered->looked_up,
    };
    struct trail_sources sources = { .config = gate->config, .policy = &gate->policy, .trust = &trust, .client = search->client };
    gate_answer_free(answer);
    enum err err = recalled ? OK : client_trust_load(gate->config, &trust, why);
    if (err == OK)
        err = gate_signer_follow(gate->signer, &question, recalled ? NULL : &sources, answer, &gathered->troubles, why);
    trust_free(&trust);
    return err;
}

/* The references of the path at hand that nothing is known of: the logs are asked for them in the same request. */
struct ahead {
    struct gate *gate;
    struct narinfo info;
    struct span *hash_parts;
    size_t n;
};

static enum err ask_log(void *ctx, size_t log, struct span hash_part, struct buf *bundles, struct why *why)
{
    const struct ahead *ahead = ctx;
    return gate_lookups_ask(ahead->gate->lookups, log, hash_part, ahead->hash_parts, ahead->n, bundles, why);
}

/* Where the cache has proofs beside its narinfo files, the logs are asked for nothing but what lacks them. */
static enum err ask_logs(struct search *search, size_t upstream, struct gathered *gathered)
{
    struct gate *gate = search->gate;
    struct ahead ahead = { .gate = gate };
    struct gather_asker asker = { ask_log, &ahead };
    pthread_mutex_lock(&gate->lock);
    bool has_proofs = gate->upstreams[upstream].has_proofs;
    pthread_mutex_unlock(&gate->lock);
    if (!has_proofs && narinfo_parse(&ahead.info, span_buf(&gathered->narinfo), span_str(gate->dir), NULL) == OK)
        ahead.hash_parts = calloc(ahead.info.references_n + 1, sizeof *ahead.hash_parts);
    for (size_t i = 0; ahead.hash_parts != NULL && i < ahead.info.references_n; i++) {
        struct span part = span_cut(ahead.info.references[i], 0, HASH_PART_LEN);
        if (!span_eq(part, search->hash_part) && !proofs_has(gate->config, part))
            ahead.hash_parts[ahead.n++] = part;
    }
    enum err err = gather_logs_by(gathered, gate->config, &gate->policy, search->hash_part, &asker, search->refusal);
    free(ahead.hash_parts);
    narinfo_free(&ahead.info);
    return err;
}

static void note_refusal(const struct search *search, const char *upstream, const struct gathered *gathered,
                         const struct gate_answer *answer)
{
    struct buf tree = BUF_EMPTY;
    buf_span(&tree, answer->tree);
    buf_span(&tree, span_buf(&gathered->troubles));
    refusals_add(search->gate->config, search->hash_part, span_str(search->refusal->text), span_buf(&tree));
    report(REPORT_WARN, "refused", "hash-part=%.*s upstream=%s why=%s", SPAN_FMT(search->hash_part), upstream,
           report_quote(search->refusal->text));
    buf_free(&tree);
}

/* The narinfo is there. First it is judged with the proofs that are near; the logs are asked only where those do not suffice. */
static enum outcome judge(struct search *search, size_t upstream, struct gathered *gathered, struct gate_answer *answer)
{
    struct gate *gate = search->gate;
    const char *url = gate->upstreams[upstream].url;
    struct why *why = search->refusal;
    enum err err = gather_near(gathered, search->client, gate->config, url, search->hash_part, why);
    bool trouble = gathered->troubles.len > 0;
    if (err == OK && gathered->has_sidecar) {
        pthread_mutex_lock(&gate->lock);
        gate->upstreams[upstream].has_proofs = true;
        pthread_mutex_unlock(&gate->lock);
    }
    if (err == OK)
        err = ask_signer(gate, gathered, search->hash_part, answer, why);
    if (err == OK && answer->wants_trail)
        err = follow_inputs(search, gathered, true, answer, why);
    if (err == OK && (!answer->passes || answer->by_warning)) {
        err = ask_logs(search, upstream, gathered);
        gate_answer_free(answer);
        if (err == OK)
            err = ask_signer(gate, gathered, search->hash_part, answer, why);
    }
    if (err == OK && answer->wants_trail)
        err = follow_inputs(search, gathered, false, answer, why);
    if (err == OK && answer->passes)
        err = accept(search, upstream, gathered, answer);
    else if (err == OK)
        err = fail(why, ERR_REFUSED, "%.*s", SPAN_FMT(answer->why));
    if (err == OK)
        return PASSES;
    if (err != ERR_REFUSED && err != ERR_MALFORMED)
        return BROKEN;
    note_refusal(search, url, gathered, answer);
    return trouble ? TROUBLE : REFUSED;
}

static enum outcome try_upstream(struct search *search, size_t upstream)
{
    struct gate *gate = search->gate;
    struct gathered gathered = { 0 };
    struct gate_answer answer = { 0 };
    struct why trouble;
    enum outcome outcome = ABSENT;
    bool found;
    if (!gate_upstream_up(gate, upstream)) {
        fail(search->refusal, ERR_REFUSED, "%s has failed, and is asked again soon", gate->upstreams[upstream].url);
        return ABSENT;
    }
    /* Where the cache has proofs, both are asked for at once. */
    pthread_mutex_lock(&gate->lock);
    bool has_proofs = gate->upstreams[upstream].has_proofs;
    pthread_mutex_unlock(&gate->lock);
    enum err err =
        (has_proofs ? gather_narinfo_with_sidecar : gather_narinfo)(&gathered, search->client, gate->upstreams[upstream].url,
                                                                    search->hash_part, &found, &trouble);
    if (err == ERR_ENV) {
        gate_upstream_failed(gate, upstream, &trouble);
        outcome = TROUBLE;
    } else {
        gate_upstream_answered(gate, upstream);
    }
    if (err != OK)
        fail(search->refusal, ERR_REFUSED, "%s", trouble.text);
    if (err == ERR_MALFORMED) {
        note_refusal(search, gate->upstreams[upstream].url, &gathered, &answer);
        outcome = REFUSED;
    } else if (err == OK && found) {
        outcome = judge(search, upstream, &gathered, &answer);
    }
    gate_answer_free(&answer);
    gathered_free(&gathered);
    return outcome;
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

/* All upstreams in the order of preference, those that once cut this NAR off last. An upstream that is down is as good as one
 * without the path: the next is asked, or Nix builds; but what is down for a moment is tried again first. */
static enum outcome try_all(struct search *search, bool *known)
{
    struct gate *gate = search->gate;
    size_t n = gate->config->upstreams.n;
    enum outcome outcome = ABSENT;
    bool *again = calloc(n, sizeof *again), any = true;
    if (again == NULL)
        return BROKEN;
    for (unsigned attempt = 0; attempt < GATE_TRIES && any; attempt++) {
        any = false;
        if (attempt > 0)
            sleep_ms(attempt == 1 ? GATE_TRY_AGAIN_MS : 4 * GATE_TRY_AGAIN_MS);
        for (size_t i = 0; i < 2 * n && outcome != PASSES && outcome != BROKEN; i++) {
            size_t upstream = i % n;
            enum gate_shunning shunning = gate_shuns(gate, search->hash_part, upstream);
            if (shunning == SHUNNED_WRONG) {
                fail(search->refusal, ERR_REFUSED, "%s had other bytes for it than its narinfo says",
                     gate->upstreams[upstream].url);
                *known = true;
            }
            if ((attempt > 0 && !again[upstream]) || shunning != (i < n ? NOT_SHUNNED : SHUNNED))
                continue;
            outcome = try_upstream(search, upstream);
            again[upstream] = outcome == TROUBLE;
            any |= outcome == TROUBLE;
            *known |= outcome == REFUSED || outcome == PASSES;
        }
        any &= outcome != PASSES && outcome != BROKEN;
    }
    free(again);
    return outcome;
}

enum err gate_resolve(struct gate *gate, struct span hash_part, const struct hash *nar_hash, struct gate_path *out, bool *known,
                      struct why *refusal)
{
    *known = false;
    if (nar_hash != NULL && gate_remembers(gate, hash_part, nar_hash, out)) {
        *known = true;
        return OK;
    }
    struct search search = { gate, gate_take_client(gate, refusal), hash_part, nar_hash, out, refusal };
    if (search.client == NULL)
        return ERR_ENV;
    fail(refusal, ERR_REFUSED, "no upstream cache has it");
    enum outcome outcome = try_all(&search, known);
    gate_give(gate, GATE_CLIENTS, search.client);
    if (outcome == PASSES)
        remember(gate, out);
    return outcome == PASSES ? OK : outcome == BROKEN ? ERR_ENV : ERR_REFUSED;
}
