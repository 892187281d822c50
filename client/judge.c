#include "client/judge.h"

#include <stdlib.h>

/* What is put together while a path is judged. */
struct trial {
    const struct judge *judge;
    struct judge_verdict *out;
    bool cache_signed[TRUST_BUILDERS_MAX];
    struct trust_evidence *evidence;
    enum trust_reason *reasons;
    size_t *items; /* evidence number -> evidence item */
    size_t n;
};

static enum err refuse(struct judge_verdict *out, const struct why *reason)
{
    out->passes = false;
    out->why = *reason;
    buf_fmt(&out->tree, "refused: %s\n", reason->text);
    return OK;
}

/* Finds which `cache` lines' keys signed, but for those that are revoked, and keeps those signatures to hand them on. */
static size_t check_cache_signatures(struct trial *trial)
{
    struct judge_verdict *out = trial->out;
    struct nix_key keys[TRUST_BUILDERS_MAX];
    uint32_t parties[TRUST_BUILDERS_MAX];
    size_t n = trust_cache_keys(&trial->judge->trust, keys, parties, TRUST_BUILDERS_MAX), signed_n = 0;
    struct narinfo one = out->info;
    for (size_t s = 0; s < out->info.sigs_n && out->sigs_n < NARINFO_SIGS_MAX; s++) {
        one.sigs = &out->info.sigs[s];
        one.sigs_n = 1;
        bool by[TRUST_BUILDERS_MAX] = { false };
        narinfo_verify(&one, keys, n, by);
        bool counts = false;
        for (size_t k = 0; k < n; k++) {
            if (!by[k] || trust_cache_revoked(&trial->judge->trust, parties[k]))
                continue;
            counts = true;
            signed_n += !trial->cache_signed[parties[k]];
            trial->cache_signed[parties[k]] = true;
        }
        if (counts)
            out->sigs[out->sigs_n++] = out->info.sigs[s];
    }
    return signed_n;
}

static void describe_item(struct trial *trial, const struct evidence_item *item, const char *verdict)
{
    struct buf *tree = &trial->out->tree;
    int64_t party = trust_builder(&trial->judge->trust, &item->key);
    buf_str(tree, "  attestation by ");
    if (party >= 0)
        buf_fmt(tree, "builder %.*s (key %.*s)", SPAN_FMT(trial->judge->trust.parties[party].name), SPAN_FMT(item->key.name));
    else
        buf_fmt(tree, "key %.*s", SPAN_FMT(item->key.name));
    if (!item->statement.foreign)
        buf_fmt(tree, ", claim %s", claim_name(item->statement.claim));
    buf_fmt(tree, ", index %llu in %s, cosigned by %s, from %s: %s\n", (unsigned long long)item->index, item->origin,
            item->witnesses[0] == '\0' ? "nobody" : item->witnesses, item->source, verdict);
}

static void describe(struct trial *trial)
{
    struct judge_verdict *out = trial->out;
    for (size_t i = 0; i < out->evidence.n; i++)
        out->reasons[i] = out->evidence.items[i]->subject == NULL ? trust_reason_text(OTHER_PATH) : "";
    for (size_t i = 0; i < trial->n; i++) {
        describe_item(trial, out->evidence.items[trial->items[i]], trust_reason_text(trial->reasons[i]));
        out->counts[trial->items[i]] = trial->reasons[i] == COUNTS;
        out->reasons[trial->items[i]] = trust_reason_text(trial->reasons[i]);
    }
    if (out->result.trail.text[0] != '\0')
        buf_fmt(&out->tree, "    the trail of its inputs: %s\n", out->result.trail.text);
    for (size_t i = 0; i < out->evidence.n; i++) {
        const struct evidence_item *item = out->evidence.items[i];
        if (!item->proven)
            buf_fmt(&out->tree, "  proof from %s does not hold: %s\n", item->source, item->why_not.text);
        else if (item->subject == NULL)
            describe_item(trial, item, "does not count: it is about another path");
    }
    if (out->evidence.n == 0)
        buf_str(&out->tree, "  no attestation was found\n");
    for (size_t i = 0; i < out->sigs_n; i++)
        buf_fmt(&out->tree, "  signed by the cache key %.*s: it served the path, which says nothing of who built it\n",
                SPAN_FMT(out->sigs[i].name));
}

/* The deriver that a counted attestation names; the upstream's word otherwise. */
static void choose_deriver(struct trial *trial)
{
    struct judge_verdict *out = trial->out;
    out->deriver = out->info.deriver;
    for (size_t i = 0; i < trial->n; i++) {
        struct storepath path;
        if (trial->reasons[i] == COUNTS && storepath_parse(&path, trial->evidence[i].statement->derivation, NULL) == OK) {
            out->deriver = path.base;
            return;
        }
    }
}

/* A bundle that was offered and did not hold explains a refusal better than "nothing was found". */
static const struct why *best_reason(const struct trial *trial)
{
    const struct judge_verdict *out = trial->out;
    if (trial->n == 0)
        for (size_t i = 0; i < out->evidence.n; i++)
            if (!out->evidence.items[i]->proven)
                return &out->evidence.items[i]->why_not;
    return NULL;
}

/* What an attestation that does not count would need. */
static void advise_item(struct trial *trial, size_t i)
{
    struct buf *advice = &trial->out->advice;
    const struct trust_evidence *evidence = &trial->evidence[i];
    int64_t party = trust_builder(&trial->judge->trust, evidence->key);
    struct span who = party >= 0 ? trial->judge->trust.parties[party].name : evidence->key->name;
    switch (trial->reasons[i]) {
    case NOT_A_BUILDER:
        buf_fmt(advice, "if you trust %.*s to build: a line `builder NAME ", SPAN_FMT(who));
        vkey_render(advice, evidence->key);
        buf_str(advice, "`, and a quorum that asks it\n");
        break;
    case NOT_IN_QUORUM: buf_fmt(advice, "a `quorum` line that asks %.*s for paths of this name\n", SPAN_FMT(who)); break;
    case REVOKED:
        buf_fmt(advice, "an attestation from before the revocation of %.*s, or by another builder\n", SPAN_FMT(who));
        break;
    case FOREIGN:
        buf_fmt(advice, "a complete statement by %.*s: %s\n", SPAN_FMT(who), evidence->statement->why_foreign.text);
        break;
    case BACKFILL_REFUSED: buf_fmt(advice, "`backfill accept`, or a rebuild by %.*s that is attested\n", SPAN_FMT(who)); break;
    case OTHER_BYTES:
        buf_fmt(advice, "a cache that serves what %.*s built: a NAR of %llu bytes, sha256 ", SPAN_FMT(who),
                (unsigned long long)evidence->subject->nar_size);
        hex_encode(advice, span_of(evidence->subject->nar_hash.b, 32));
        buf_byte(advice, '\n');
        break;
    case OTHER_REFERENCES: buf_fmt(advice, "a cache that gives the references that %.*s attested\n", SPAN_FMT(who)); break;
    case INPUTS_UNATTESTED:
        buf_fmt(advice, "attestations of what %.*s built it from: `stele trace` has them all\n", SPAN_FMT(who));
        break;
    case COUNTS:
    case OTHER_PATH:
    case CONTRADICTS_ITSELF: break;
    }
}

/* What would make a refused path pass: what its quorum lacks, what each piece of evidence lacks, and the way without any. */
static enum err advise(struct trial *trial, struct why *why)
{
    struct judge_verdict *out = trial->out;
    bool short_of_quorum = false;
    enum err err = OK;
    if (out->result.wants_look_up)
        buf_str(&out->advice, "an answer of every log of the policy (each needs an address there), or `divergence warn`\n");
    else if (out->result.verdict == TRUST_REFUSED)
        err = trust_missing(&out->advice, &trial->judge->trust, &out->result, why);
    for (size_t i = 0; i < trial->n; i++)
        advise_item(trial, i);
    for (size_t i = 0; i < out->evidence.n; i++)
        short_of_quorum |= out->evidence.items[i]->head != NULL && out->evidence.items[i]->head->quorum_short;
    if (short_of_quorum)
        buf_str(&out->advice, "a proof under a checkpoint that the policy's quorum of witnesses cosigned\n");
    if (out->result.verdict == TRUST_EXEMPT)
        buf_str(&out->advice, "a signature by a key that stands in a `cache` line\n");
    else if (err == OK)
        buf_fmt(&out->advice, "without any attestation, reported each time: `exempt %.*s`, if a `cache` line's key signed it\n",
                SPAN_FMT(out->info.path.name));
    struct span rest = span_buf(&out->advice), line;
    while (span_line(&rest, &line))
        buf_fmt(&out->tree, "  would pass with: %.*s\n", SPAN_FMT(line));
    return err == OK ? buf_done(&out->advice, why) : err;
}

static enum err conclude(struct trial *trial, size_t cache_signed, struct why *why)
{
    struct judge_verdict *out = trial->out;
    bool addressed = out->info.ca.len > 0;
    out->why = out->result.why;
    out->sign = !addressed;
    switch (out->result.verdict) {
    case TRUST_ATTESTED:
    case TRUST_VOUCHED:
    case TRUST_FIXED: out->passes = true; break;
    case TRUST_EXEMPT:
        /* Invariant 8: what passes without proof must carry a signature that plain Nix would have wanted as well. */
        out->passes = cache_signed > 0 || addressed;
        if (!out->passes)
            fail(&out->why, ERR_REFUSED, "exempt, but no `cache` line's key signed it");
        break;
    case TRUST_REFUSED: {
        const struct why *proof = best_reason(trial);
        if (proof != NULL)
            fail(&out->why, ERR_REFUSED, "%s; the proof offered does not hold: %s", out->result.why.text, proof->text);
        out->by_warning = out->passes = trial->judge->warn && (cache_signed > 0 || addressed);
        break;
    }
    }
    buf_fmt(&out->tree, "%s: %s\n", out->by_warning ? "passed by `mode warn`" : out->passes ? "passed" : "refused", out->why.text);
    return out->passes && !out->by_warning ? OK : advise(trial, why);
}

struct trust_path judge_path(const struct narinfo *info)
{
    return (struct trust_path){
        .path = info->path,
        .nar_hash = info->nar_hash,
        .nar_size = info->nar_size,
        .references_digest = references_digest(info->references, info->references_n),
        .content_addressed = info->ca.len > 0,
    };
}

static enum err weigh(struct trial *trial, bool looked_up, struct why *why)
{
    struct judge_verdict *out = trial->out;
    size_t cache_signed = check_cache_signatures(trial);
    enum err err = evidence_for_trust(&out->evidence, &trial->evidence, &trial->n, &trial->items, why);
    if (err != OK)
        return err;
    trial->reasons = calloc(trial->n + 1, sizeof *trial->reasons);
    out->counts = calloc(out->evidence.n + 1, sizeof *out->counts);
    out->reasons = calloc(out->evidence.n + 1, sizeof *out->reasons);
    if (trial->reasons == NULL || out->counts == NULL || out->reasons == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct trust_path path = judge_path(&out->info);
    path.cache_signed = trial->cache_signed;
    path.looked_up = looked_up;
    const struct trust_inputs *inputs = trial->judge->inputs.attested != NULL ? &trial->judge->inputs : NULL;
    err = trust_judge(&trial->judge->trust, &path, trial->evidence, trial->n, inputs, trial->reasons, &out->result, why);
    if (err != OK)
        return err;
    describe(trial);
    choose_deriver(trial);
    return conclude(trial, cache_signed, why);
}

enum err judge_narinfo(const struct judge *judge, const struct judge_question *question, struct judge_verdict *out, struct why *why)
{
    *out = (struct judge_verdict){ .result.verdict = TRUST_REFUSED, .evidence.heads = question->heads };
    struct trial trial = { .judge = judge, .out = out };
    struct why reason;
    enum err err = narinfo_parse(&out->info, question->narinfo, question->dir, &reason);
    if (err == ERR_ENV) {
        fail(why, ERR_ENV, "%s", reason.text);
        goto out;
    }
    if (err != OK) {
        fail_in(&reason, err, "the cache's narinfo is malformed");
        err = refuse(out, &reason);
        goto out;
    }
    if (!span_eq(out->info.path.hash_part, question->hash_part)) {
        fail(&reason, ERR_REFUSED, "the cache answered with another path, %.*s", SPAN_FMT(out->info.path.path));
        err = refuse(out, &reason);
        goto out;
    }
    buf_fmt(&out->tree, "%.*s: %llu bytes, %zu references\n", SPAN_FMT(out->info.path.path), (unsigned long long)out->info.nar_size,
            out->info.references_n);
    for (size_t i = 0; i < question->n; i++) {
        err = evidence_add(&out->evidence, question->sources[i].bundles, question->sources[i].name, &judge->policy, &out->info.path,
                           why);
        if (err != OK)
            goto out;
    }
    err = weigh(&trial, question->looked_up, why);
out:
    free(trial.evidence);
    free(trial.reasons);
    free(trial.items);
    return err != OK ? err : buf_done(&out->tree, why);
}

void judge_verdict_free(struct judge_verdict *verdict)
{
    narinfo_free(&verdict->info);
    evidence_free(&verdict->evidence);
    free(verdict->counts);
    free(verdict->reasons);
    buf_free(&verdict->advice);
    buf_free(&verdict->tree);
}

void judge_summary(struct buf *out, const struct judge *judge, const struct judge_verdict *verdict)
{
    const char *join = "";
    for (size_t i = 0; verdict->counts != NULL && i < verdict->evidence.n; i++) {
        const struct evidence_item *item = verdict->evidence.items[i];
        int64_t party = trust_builder(&judge->trust, &item->key);
        if (!verdict->counts[i] || party < 0)
            continue;
        buf_fmt(out, "%sbuilder %.*s, index %llu in %s, cosigned by %s", join, SPAN_FMT(judge->trust.parties[party].name),
                (unsigned long long)item->index, item->origin, item->witnesses);
        join = "; ";
    }
}
