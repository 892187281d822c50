/* Proofs into a trail: verified, and taken apart into builds and steps. */
#include "client/gate_heads.h"
#include "client/trail_graph.h"

enum err trail_take_inputs(struct trail *trail, uint32_t number, const struct input *inputs, size_t n, struct why *why)
{
    struct trail_build *build = build_at(trail, number);
    enum err err = OK;
    build->input = trail->inputs.n;
    if (n > TRAIL_INPUTS_MAX - trail->inputs.n) {
        trail->too_large = true;
        return OK;
    }
    if (!table_room(&trail->inputs, sizeof(struct trail_input), (uint32_t)n))
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < n && err == OK; i++) {
        struct storepath path;
        struct trail_input input = { .node = NONE, .nar_hash = inputs[i].nar_hash, .kind = inputs[i].kind };
        err = storepath_parse(&path, inputs[i].path, why);
        if (err == OK && (input.place = trail_place(trail, &path)) == NONE)
            return trail->too_large ? OK : fail(why, ERR_ENV, "out of memory");
        if (err == OK && inputs[i].references_n > 0)
            err = trail_refs(trail, path.dir, inputs[i].references, inputs[i].references_n, &input.refs, why);
        if (err == OK)
            *input_at(trail, trail->inputs.n++) = input;
    }
    build_at(trail, number)->inputs_n = trail->inputs.n - build_at(trail, number)->input;
    return err;
}

static enum err take_step(struct trail *trail, uint32_t number, const struct subject *subject, struct why *why)
{
    struct storepath path;
    struct refs refs = { 0 };
    enum err err = storepath_parse(&path, subject->path, why);
    if (err != OK)
        return OK; /* a foreign statement's subjects may be anything */
    uint32_t place = trail_place(trail, &path);
    if (place == NONE)
        return trail->too_large ? OK : fail(why, ERR_ENV, "out of memory");
    if (subject->references != NULL)
        err = trail_refs(trail, path.dir, subject->references, subject->references_n, &refs, why);
    if (err != OK || !table_room(&trail->steps, sizeof(struct trail_step), 1))
        return fail(why, ERR_ENV, "out of memory");
    struct trail_build *build = build_at(trail, number);
    struct trail_place *at = place_at(trail, place);
    struct trail_step *step = step_at(trail, trail->steps.n);
    *step = (struct trail_step){ .place = place, .next = at->step, .build = number, .next_of_build = build->step, .refs = refs };
    step->subject = (struct subject){ .path = at->path.path,
                                      .nar_hash = subject->nar_hash,
                                      .nar_size = subject->nar_size,
                                      .references_digest = subject->references_digest };
    step->reason = NOT_IN_QUORUM;
    at->built |= !build->foreign;
    at->step = build->step = trail->steps.n++;
    return OK;
}

/* An attestation by a builder of the trust file. */
static enum err take_build(struct trail *trail, const struct evidence_item *item, uint32_t party, uint32_t origin, struct why *why)
{
    const struct statement *statement = &item->statement;
    if (!table_room(&trail->builds, sizeof(struct trail_build), 1))
        return fail(why, ERR_ENV, "out of memory");
    uint32_t number = trail->builds.n++;
    *build_at(trail, number) = (struct trail_build){
        .party = party,
        .origin = origin,
        .index = item->index,
        .claim = statement->claim,
        .foreign = statement->foreign,
        .recorded = !statement->foreign && statement->inputs_recorded,
        .has_list = statement->has_input_list,
        .list = statement->input_list,
        .closure = statement->closure,
        .derivation = arena_dup(&trail->arena, statement->derivation),
        .witnesses = arena_dup(&trail->arena, span_str(item->witnesses)),
        .step = NONE,
    };
    enum err err = trail_build_index(trail, number, why);
    if (err == OK && build_at(trail, number)->recorded && !statement->has_input_list)
        err = trail_take_inputs(trail, number, statement->inputs, statement->inputs_n, why);
    for (size_t i = 0; i < statement->subjects_n && err == OK; i++)
        err = take_step(trail, number, &statement->subjects[i], why);
    return err;
}

/* The attestation of a key that nobody named: only that there is one. */
static void note_stranger(struct trail *trail, const struct statement *statement)
{
    for (size_t i = 0; i < statement->subjects_n; i++) {
        struct storepath path;
        if (storepath_parse(&path, statement->subjects[i].path, NULL) != OK)
            continue;
        for (uint32_t p = trail_place_part(trail, path.hash_part); p != NONE; p = place_at(trail, p)->same_part)
            place_at(trail, p)->strangers += span_eq(place_at(trail, p)->path.path, path.path);
    }
}

static uint32_t origin_number(const struct trail *trail, struct span origin)
{
    for (size_t i = 0; i < trail->config.policy->logs_n; i++)
        if (span_eq(trail->config.policy->logs[i].key.name, origin))
            return (uint32_t)i;
    return NONE;
}

static void gather_head(void *ctx, const struct evidence_head *head)
{
    struct trail *trail = ctx;
    if (trail->config.heads == NULL)
        gate_heads_put(&trail->heads, head);
}

void trail_heads(struct trail *trail, struct buf *out)
{
    buf_span(out, span_buf(&trail->heads));
    out->failed |= trail->heads.failed;
    buf_clear(&trail->heads);
}

static enum err take_item(void *ctx, const struct evidence_item *item, struct why *why)
{
    struct trail *trail = ctx;
    if (trail->too_large)
        return OK;
    if (!item->proven) {
        if (trail->bad_proofs++ == 0)
            trail->bad_proof = item->why_not;
        return OK;
    }
    uint32_t origin = origin_number(trail, span_str(item->origin));
    int64_t party = trust_builder(trail->config.trust, &item->key);
    if (party < 0)
        note_stranger(trail, &item->statement);
    else if (origin != NONE && trail_build_find(trail, origin, item->index) == NONE)
        return take_build(trail, item, (uint32_t)party, origin, why);
    return OK;
}

static enum err take_answered(void *ctx, struct span asked, struct why *why)
{
    struct span part;
    enum err err = OK;
    while (err == OK && span_line(&asked, &part))
        err = trail_answered(ctx, part, why);
    return err;
}

enum err trail_prover(struct trail *trail, struct why *why)
{
    struct prove prove = { .policy = trail->config.policy,
                           .threads = trail->config.threads,
                           .config = trail->config.heads,
                           .head = gather_head,
                           .take = take_item,
                           .answered = take_answered,
                           .ctx = trail };
    return prover_new(&trail->prover, &prove, why);
}

enum err trail_feed_proofs(struct trail *trail, struct span asked, struct span bundles, const char *source, struct why *why)
{
    enum err err = prover_put(trail->prover, asked, bundles, source, why);
    while (err == OK && prover_full(trail->prover))
        err = prover_take(trail->prover, true, why);
    return err;
}

void trail_notify(struct trail *trail, void (*verified)(void *ctx), void *ctx)
{
    trail->notified = verified != NULL;
    prover_notify(trail->prover, verified, ctx);
}

enum err trail_absorb(struct trail *trail, struct why *why)
{
    enum err err = OK;
    while (err == OK && prover_busy(trail->prover))
        err = prover_take(trail->prover, true, why);
    return err;
}
