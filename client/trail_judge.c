/* One version of a path held against the trust file, with the attestations that a trail has of it. */
#include "client/trail_graph.h"

/* What a version may be: an attestation's word for its size and references, or a narinfo's. */
struct candidate {
    uint64_t nar_size;
    struct hash references_digest;
    const bool *cache_signed;
    struct refs refs;
};

static const struct statement *statement_of(const struct trail *trail, const struct trail_build *build)
{
    return &trail->statements[4 * build->foreign + (size_t)build->claim];
}

/* Once all is settled, what speaks for these bytes has a trail that comes out; of a log that forked nothing speaks at all. */
static bool speaks(const struct trail *trail, const struct trail_step *step, const struct hash *nar_hash, bool settled)
{
    const struct trail_build *build = build_at(trail, step->build);
    return !prover_forked(trail->prover, build->origin) &&
           (!settled || build->state == BUILD_COMPLETE || !hash_eq(&step->subject.nar_hash, nar_hash));
}

/* The attestations that may speak, as trust_judge wants them; *steps (in trail->reasons' second half) names their steps. */
static enum err list_evidence(struct trail *trail, uint32_t place, const struct hash *nar_hash, bool settled, uint32_t *n,
                              struct why *why)
{
    *n = 0;
    for (uint32_t i = place_at(trail, place)->step; i != NONE; i = step_at(trail, i)->next) {
        const struct trail_step *step = step_at(trail, i);
        const struct trail_build *build = build_at(trail, step->build);
        if (!speaks(trail, step, nar_hash, settled))
            continue;
        trail->evidence.n = trail->reasons.n = *n;
        if (!table_room(&trail->evidence, sizeof(struct trust_evidence), 1) ||
            !table_room(&trail->reasons, sizeof(enum trust_reason), 1))
            return fail(why, ERR_ENV, "out of memory");
        ((struct trust_evidence *)trail->evidence.items)[(*n)++] = (struct trust_evidence){
            .key = &trail->config.trust->parties[build->party].key,
            .statement = statement_of(trail, build),
            .subject = &step->subject,
            .origin = trail->config.policy->logs[build->origin].key.name,
            .index = build->index,
        };
    }
    return OK;
}

/* Those whose trail is not complete are left out before; the others are not asked about again. */
static enum err is_attested(void *ctx, const struct trust_evidence *evidence, bool *out, struct why *reason, struct why *why)
{
    (void)ctx, (void)evidence, (void)reason, (void)why;
    *out = true;
    return OK;
}

static enum err judge_as(struct trail *trail, const struct trail_node *node, const struct candidate *candidate, bool fixed,
                         uint32_t n, struct trust_result *out, struct why *why)
{
    struct trust_path path = {
        .path = place_at(trail, node->place)->path,
        .nar_hash = node->nar_hash,
        .nar_size = candidate->nar_size,
        .references_digest = candidate->references_digest,
        .content_addressed = fixed,
        .cache_signed = candidate->cache_signed,
        .looked_up = !trail->unasked,
    };
    struct trust_inputs inputs = { is_attested, NULL };
    return trust_judge(trail->config.trust, &path, trail->evidence.items, n, &inputs, trail->reasons.items, out, why);
}

/* Steps of the evidence in their order: for each, does `with` hold? Sets the reasons, or finds the references of one that counts. */
static void take_reasons(struct trail *trail, const struct trail_node *node, bool settled, struct refs *refs)
{
    uint32_t n = 0;
    for (uint32_t i = place_at(trail, node->place)->step; i != NONE; i = step_at(trail, i)->next) {
        struct trail_step *step = step_at(trail, i);
        if (!speaks(trail, step, &node->nar_hash, settled))
            continue;
        enum trust_reason reason = ((const enum trust_reason *)trail->reasons.items)[n++];
        if (!settled)
            step->reason = reason;
        if (reason == COUNTS && refs != NULL && !refs->known)
            *refs = step->refs;
    }
}

static bool is_same(const struct trail_info *info, const struct trail_node *node, const struct candidate *candidate)
{
    return hash_eq(&info->nar_hash, &node->nar_hash) && info->nar_size == candidate->nar_size &&
           hash_eq(&info->references_digest, &candidate->references_digest);
}

/* The next thing that the version may be: by the steps of these bytes, each size and references once; then by the narinfo. */
static bool next_candidate(const struct trail *trail, const struct trail_node *node, uint32_t *step, bool *done,
                           struct candidate *out)
{
    const struct trail_place *place = place_at(trail, node->place);
    for (; *step != NONE; *step = step_at(trail, *step)->next) {
        const struct subject *subject = &step_at(trail, *step)->subject;
        if (!hash_eq(&subject->nar_hash, &node->nar_hash))
            continue;
        uint32_t before = place->step;
        for (; before != *step; before = step_at(trail, before)->next)
            if (hash_eq(&step_at(trail, before)->subject.nar_hash, &node->nar_hash) &&
                step_at(trail, before)->subject.nar_size == subject->nar_size &&
                hash_eq(&step_at(trail, before)->subject.references_digest, &subject->references_digest))
                break;
        if (before != *step)
            continue;
        *out = (struct candidate){ subject->nar_size, subject->references_digest, NULL, step_at(trail, *step)->refs };
        const struct trail_info *info = place->info;
        if (info != NULL && is_same(info, node, out)) {
            out->cache_signed = info->cache_signed;
            out->refs = info->refs;
        }
        *step = step_at(trail, *step)->next;
        return true;
    }
    if (*done)
        return false;
    *done = true;
    *out = (struct candidate){ .nar_size = 0 };
    if (place->info != NULL && hash_eq(&place->info->nar_hash, &node->nar_hash))
        *out = (struct candidate){ place->info->nar_size, place->info->references_digest, place->info->cache_signed,
                                   place->info->refs };
    return true;
}

enum err trail_judge(struct trail *trail, uint32_t number, bool settled, struct trust_result *out, struct refs *refs,
                     struct why *why)
{
    const struct trail_node *node = node_at(trail, number);
    struct candidate candidate;
    uint32_t n, step = place_at(trail, node->place)->step;
    bool done = false, first = true;
    if (refs != NULL)
        *refs = (struct refs){ 0 };
    enum err err = list_evidence(trail, node->place, &node->nar_hash, settled, &n, why);
    if (err == OK && number == trail->root) {
        const struct trail_info *info = place_at(trail, node->place)->info;
        candidate = (struct candidate){ trail->asked.nar_size, trail->asked.references_digest, trail->asked.cache_signed, { 0 } };
        if (candidate.cache_signed == NULL && info != NULL && is_same(info, node, &candidate))
            candidate.cache_signed = info->cache_signed;
        err = judge_as(trail, node, &candidate, trail->asked.content_addressed, n, out, why);
        if (err == OK)
            take_reasons(trail, node, settled, refs);
        return err;
    }
    while (err == OK && next_candidate(trail, node, &step, &done, &candidate)) {
        struct trust_result result;
        err = judge_as(trail, node, &candidate, false, n, &result, why);
        if (err != OK || (!first && result.verdict >= out->verdict))
            continue;
        *out = result;
        if (refs != NULL)
            *refs = candidate.refs;
        if (first || result.verdict == TRUST_ATTESTED)
            take_reasons(trail, node, settled, NULL);
        first = false;
        if (result.verdict == TRUST_ATTESTED)
            break;
    }
    return err;
}
