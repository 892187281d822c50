#include "client/local_trail.h"

#include "client/prove.h"
#include "client/trail_follow.h"

/* What was found when the path was looked up; where not every log answered then, none is asked again. */
static enum err feed(struct local_trail *trail, struct why *why)
{
    char part[HASH_PART_LEN + 1];
    memcpy(part, trail->path->path.hash_part.data, HASH_PART_LEN);
    part[HASH_PART_LEN] = '\n';
    enum err err = OK;
    for (size_t i = 0; i < trail->proofs_n && err == OK; i++)
        err = trail_feed_proofs(trail->trail, span_of(NULL, 0), trail->proofs[i], "", why);
    if (!trail->path->looked_up)
        trail_not_asked(trail->trail);
    if (err == OK)
        err = trail_feed_proofs(trail->trail, span_of(part, sizeof part), span_of(NULL, 0), "", why);
    return err == OK ? trail_absorb(trail->trail, why) : err;
}

static enum err follow(struct local_trail *trail, struct why *why)
{
    struct local *local = trail->local;
    struct trail_config config = { &local->policy, &local->trust, trail->memory, prove_threads(), &local->config };
    struct trail_sources sources = { &local->config, &local->policy, &local->trust, local->look_up ? local->client : NULL,
                                     local->db,      &local->env };
    enum trail_state state;
    enum err err = trail_new(&trail->trail, &config, why);
    if (err == OK)
        err = trail_ask(trail->trail, trail->path, why);
    if (err == OK)
        err = feed(trail, why);
    return err == OK ? trail_follow(&sources, trail->trail, &state, NULL, trail->troubles, why) : err;
}

static enum err attested(void *ctx, const struct trust_evidence *evidence, bool *out, struct why *reason, struct why *why)
{
    struct local_trail *trail = ctx;
    enum err err = trail->trail == NULL ? follow(trail, why) : OK;
    if (err != OK)
        return err;
    struct trust_inputs inputs = trail_inputs(trail->trail);
    return inputs.attested(inputs.ctx, evidence, out, reason, why);
}

struct trust_inputs local_trail_inputs(struct local_trail *trail)
{
    return (struct trust_inputs){ attested, trail };
}

void local_trail_free(struct local_trail *trail)
{
    trail_free(trail->trail);
    trail->trail = NULL;
}
