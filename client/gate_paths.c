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

/* One upstream's narinfo, and what is known of it. */
struct candidate {
    const struct search *search;
    size_t upstream;
    struct gathered gathered;
    struct narinfo info; /* what of it parses: the signer refuses the rest, and says why */
    struct gate_answer answer;
};

static enum err accept(const struct candidate *candidate)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    struct gate_path *out = search->out;
    const struct gate_answer *answer = &candidate->answer;
    struct span hash_part = search->hash_part;
    struct why *why = search->refusal;
    struct buf url = BUF_EMPTY;
    enum err err = gather_url(&url, gate->upstreams[candidate->upstream].url, candidate->info.url, why);
    if (err == OK && search->nar_hash != NULL && !hash_eq(search->nar_hash, &answer->nar_hash))
        err = fail(why, ERR_REFUSED, "the cache now has other bytes for this path");
    if (err != OK)
        goto out;
    *out = (struct gate_path){ .until_ms = clock_monotonic_ms() + GATE_VERDICT_S * 1000,
                               .nar_hash = answer->nar_hash,
                               .nar_size = answer->nar_size,
                               .upstream = candidate->upstream };
    memcpy(out->hash_part, hash_part.data, HASH_PART_LEN);
    out->nar_url = span_dup_str(span_buf(&url));
    out->compression = span_dup_str(candidate->info.compression);
    buf_span(&out->narinfo, answer->narinfo);
    if (out->nar_url == NULL || out->compression == NULL || out->narinfo.failed) {
        gate_path_free(out);
        err = fail(why, ERR_ENV, "out of memory");
        goto out;
    }
    gate_keep(gate->keeper, hash_part, answer->proofs);
    report(answer->by_warning ? REPORT_WARN : REPORT_INFO, answer->by_warning ? "passed-by-warning" : "passed",
           "path=%.*s why=\"%.*s\" by=\"%.*s\"", SPAN_FMT(candidate->info.path.path), SPAN_FMT(answer->why),
           SPAN_FMT(answer->summary));
    if (answer->by_warning)
        refusals_add_warned(gate->config, hash_part, answer->why, answer->tree);
out:
    buf_free(&url);
    return err;
}

static struct judge_question question_of(const struct candidate *candidate)
{
    const struct gathered *gathered = &candidate->gathered;
    return (struct judge_question){
        .narinfo = span_buf(&gathered->narinfo),
        .hash_part = candidate->search->hash_part,
        .sources = gathered->sources,
        .n = gathered->n,
        .looked_up = gathered->looked_up,
    };
}

/* Judged by what was gathered so far. */
static enum err ask_signer(struct candidate *candidate)
{
    struct judge_question question = question_of(candidate);
    gate_answer_free(&candidate->answer);
    return gate_signer_judge(candidate->search->gate->signer, &question, &candidate->answer, candidate->search->refusal);
}

/* `inputs attested`: the signer wants to know of what the path was built from; with `recalled` what it knows already. */
static enum err follow_inputs(struct candidate *candidate, bool recalled)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    struct trust trust = { 0 };
    struct judge_question question = question_of(candidate);
    struct trail_sources sources = { .config = gate->config, .policy = &gate->policy, .trust = &trust, .client = search->client };
    gate_answer_free(&candidate->answer);
    enum err err = recalled ? OK : client_trust_load(gate->config, &trust, search->refusal);
    if (err == OK)
        err = gate_signer_follow(gate->signer, &question, recalled ? NULL : &sources, &candidate->answer,
                                 &candidate->gathered.troubles, search->refusal);
    trust_free(&trust);
    return err;
}

/* By what needs no log. */
static enum err judge_by_near(struct candidate *candidate)
{
    enum err err = ask_signer(candidate);
    return err == OK && candidate->answer.wants_trail ? follow_inputs(candidate, true) : err;
}

static enum err ask_log(void *ctx, size_t log, struct span hash_part, bool anew, struct buf *bundles, struct why *why)
{
    const struct gate *gate = ctx;
    return gate_lookups_ask(gate->lookups, log, hash_part, anew, bundles, why);
}

/* What needs the logs will need them for its references as well: those that nothing is known of are asked for in the same request,
 * ahead of Nix's questions. Where the cache has proofs beside its narinfo files, only what lacks them. */
static enum err want_ahead(const struct candidate *candidate)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    bool ahead = !gate_upstream_has_proofs(gate, candidate->upstream);
    size_t n = 0;
    struct span *hash_parts = calloc(candidate->info.references_n + 1, sizeof *hash_parts);
    if (hash_parts == NULL)
        return fail(search->refusal, ERR_ENV, "out of memory");
    hash_parts[n++] = search->hash_part;
    for (size_t i = 0; ahead && i < candidate->info.references_n; i++) {
        struct span part = span_cut(candidate->info.references[i], 0, HASH_PART_LEN);
        if (!span_eq(part, search->hash_part) && !proofs_has(gate->config, part))
            hash_parts[n++] = part;
    }
    gate_lookups_want(gate->lookups, hash_parts, n);
    free(hash_parts);
    return OK;
}

static enum err ask_logs(struct candidate *candidate, bool anew)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    struct gather_asker asker = { ask_log, gate };
    size_t before = candidate->gathered.n;
    enum err err = anew ? want_ahead(candidate) : OK;
    if (err == OK)
        err = gather_logs_by(&candidate->gathered, gate->config, &gate->policy, search->hash_part, anew, &asker, search->refusal);
    return err == OK && !anew && candidate->gathered.n > before ? want_ahead(candidate) : err;
}

static enum err ask_sidecar(struct candidate *candidate)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    size_t troubles = candidate->gathered.troubles.len;
    enum err err = gather_sidecar(&candidate->gathered, search->client, gate->upstreams[candidate->upstream].url, search->hash_part,
                                  search->refusal);
    if (candidate->gathered.troubles.len == troubles)
        gate_upstream_sidecar(gate, candidate->upstream, candidate->gathered.has_sidecar);
    return err;
}

static void note_refusal(const struct candidate *candidate)
{
    const struct search *search = candidate->search;
    struct buf tree = BUF_EMPTY;
    if (search->gate->stopping) /* there was no time to find out, and nobody hears of it */
        return;
    buf_span(&tree, candidate->answer.tree);
    buf_span(&tree, span_buf(&candidate->gathered.troubles));
    refusals_add(search->gate->config, search->hash_part, span_str(search->refusal->text), span_buf(&tree));
    report(REPORT_WARN, "refused", "hash-part=%.*s upstream=%s why=%s", SPAN_FMT(search->hash_part),
           search->gate->upstreams[candidate->upstream].url, report_quote(search->refusal->text));
    buf_free(&tree);
}

static bool wants_more(const struct candidate *candidate)
{
    return !candidate->answer.passes || candidate->answer.by_warning;
}

/* The narinfo is there. First it is judged with the proofs that are near, which the sidecar is only where its cache has some, and
 * what the logs said already only where there is nothing nearer; then with the sidecar in any case; and the logs are asked only
 * where that does not suffice. */
static enum outcome judge(struct candidate *candidate)
{
    const struct search *search = candidate->search;
    struct gate *gate = search->gate;
    struct gathered *gathered = &candidate->gathered;
    const struct gate_answer *answer = &candidate->answer;
    bool sidecar_first = gate_upstream_found(gate, candidate->upstream) || gathered->sidecar_asked;
    enum err err = gather_own(gathered, gate->config, search->hash_part, search->refusal);
    if (err == OK && sidecar_first)
        err = ask_sidecar(candidate);
    if (err == OK && gathered->n == 0)
        err = ask_logs(candidate, false);
    if (err == OK)
        err = judge_by_near(candidate);
    if (err == OK && wants_more(candidate) && !sidecar_first) {
        err = ask_sidecar(candidate);
        if (err == OK && gathered->has_sidecar)
            err = judge_by_near(candidate);
    }
    bool trouble = gathered->troubles.len > 0;
    if (err == OK && wants_more(candidate)) {
        err = ask_logs(candidate, true);
        if (err == OK)
            err = ask_signer(candidate);
    }
    if (err == OK && answer->wants_trail)
        err = follow_inputs(candidate, false);
    if (err == OK && answer->passes) {
        err = accept(candidate);
    } else if (err == OK) {
        err = fail(search->refusal, ERR_REFUSED, "%.*s", SPAN_FMT(answer->why));
        gather_explain(gathered, search->refusal);
    }
    if (err == OK)
        return PASSES;
    if (err != ERR_REFUSED && err != ERR_MALFORMED)
        return BROKEN;
    note_refusal(candidate);
    return trouble ? TROUBLE : REFUSED;
}

static enum outcome try_upstream(const struct search *search, size_t upstream)
{
    struct gate *gate = search->gate;
    struct candidate candidate = { .search = search, .upstream = upstream };
    const char *url = gate->upstreams[upstream].url;
    struct why trouble;
    enum outcome outcome = ABSENT;
    bool found;
    if (!gate_upstream_up(gate, upstream)) {
        fail(search->refusal, ERR_REFUSED, "%s has failed, and is asked again soon", url);
        return ABSENT;
    }
    /* Where the cache has proofs, both are asked for at once. */
    enum err err = (gate_upstream_has_proofs(gate, upstream) ? gather_narinfo_with_sidecar : gather_narinfo)(
        &candidate.gathered, search->client, url, search->hash_part, &found, &trouble);
    if (err == ERR_ENV) {
        gate_upstream_failed(gate, upstream, &trouble);
        outcome = TROUBLE;
    } else {
        gate_upstream_answered(gate, upstream);
    }
    if (err != OK)
        fail(search->refusal, ERR_REFUSED, "%s", trouble.text);
    if (err == ERR_MALFORMED) {
        note_refusal(&candidate);
        outcome = REFUSED;
    } else if (err == OK && found) {
        narinfo_parse(&candidate.info, span_buf(&candidate.gathered.narinfo), span_str(gate->dir), NULL);
        outcome = judge(&candidate);
    }
    gate_answer_free(&candidate.answer);
    narinfo_free(&candidate.info);
    gathered_free(&candidate.gathered);
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
    for (unsigned attempt = 0; attempt < GATE_TRIES && any && !gate->stopping; attempt++) {
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
        gate_remember(gate, out);
    return outcome == PASSES ? OK : outcome == BROKEN ? ERR_ENV : ERR_REFUSED;
}
