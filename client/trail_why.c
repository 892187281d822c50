/* Why a trail is complete, or where it ends. */
#include "client/trail_graph.h"

bool trail_step_counts(const struct trail_step *step, const struct trail_node *node)
{
    return step->reason == COUNTS && hash_eq(&step->subject.nar_hash, &node->nar_hash);
}

/* An attestation of a version that may count, rather one whose trail does not come out; NONE where there is none. */
static uint32_t telling_build(const struct trail *trail, const struct trail_node *node)
{
    uint32_t build = NONE;
    for (uint32_t i = place_at(trail, node->place)->step; i != NONE; i = step_at(trail, i)->next)
        if (trail_step_counts(step_at(trail, i), node) && (build == NONE || build_at(trail, build)->state == BUILD_COMPLETE))
            build = step_at(trail, i)->build;
    return build;
}

static uint32_t first_open_input(const struct trail *trail, const struct trail_build *build)
{
    for (uint32_t i = build->input; i < build->input + build->inputs_n; i++)
        if (input_at(trail, i)->node != NONE && node_at(trail, input_at(trail, i)->node)->basis == NOTHING)
            return input_at(trail, i)->node;
    return NONE;
}

/* A builder of the trust file that attests other bytes for the place, where none attests these; NONE where there is none. */
static uint32_t who_differs(const struct trail *trail, const struct trail_node *node)
{
    uint32_t party = NONE;
    for (uint32_t i = place_at(trail, node->place)->step; i != NONE; i = step_at(trail, i)->next) {
        const struct trail_build *build = build_at(trail, step_at(trail, i)->build);
        if (hash_eq(&step_at(trail, i)->subject.nar_hash, &node->nar_hash))
            return NONE;
        if (!build->foreign)
            party = build->party;
    }
    return party;
}

/* A version for which nobody whom the trust file asks answers. */
static void say_unattested(const struct trail *trail, const struct trail_node *node, struct why *why)
{
    const struct trail_place *place = place_at(trail, node->place);
    uint32_t other = who_differs(trail, node);
    if (trail_is_ground(trail, node) || (!(node->claims & AS_OUTPUT) && trail_ground_contested(trail, node) && place->step == NONE))
        fail(why, OK, "other bytes are recorded, or shown by a cache, for the same content address: one of them is false");
    else if (other != NONE)
        fail(why, OK, "other bytes than the build used: builder %.*s attests others",
             SPAN_FMT(trail->config.trust->parties[other].name));
    else if ((node->claims & AS_SOURCE) && place->built)
        fail(why, OK,
             "recorded as a source, but a builder attests to have built it: it is no ground, and not attested as this file asks");
    else if ((node->claims & (AS_SOURCE | AS_FIXED)) && (node->claims & AS_OUTPUT))
        fail(why, OK, "recorded as ground by one build and as the output of a build by another: it is no ground, and not attested");
    else if (place->step == NONE && place->strangers > 0)
        fail(why, OK, "not attested: only by an unknown builder, whose key the trust file does not name");
    else if (place->step == NONE && trail->bad_proofs > 0)
        fail(why, OK, "not attested; of the proofs that were found some do not hold: %s", trail->bad_proof.text);
    else
        fail(why, OK, "%s", node->why.text[0] != '\0' ? node->why.text : "not attested");
}

void trail_build_why(const struct trail *trail, uint32_t number, struct why *why)
{
    const struct trail_build *build = build_at(trail, number);
    if (!build->recorded)
        fail(why, OK, "its inputs are unrecorded");
    else if (build->list_missing || build->list_wanted)
        fail(why, OK, "its input list cannot be had");
    else if (build->state == BUILD_CLOSURE_WRONG)
        fail(why, OK, "its closure digest does not come out: the build saw other bytes somewhere below its direct inputs");
    else if (build->state == BUILD_CLOSURE_LARGE)
        fail(why, OK, "the closures of this trail are too large to check in one go (the rest is remembered: ask again)");
    else if (build->state == BUILD_CLOSURE_OPEN)
        fail(why, OK, "%.*s, in the closure of its inputs, is not attested in any version",
             SPAN_FMT(place_at(trail, build->culprit)->path.base));
    else if (build->state == BUILD_OPEN)
        fail(why, OK, "an input's trail is not complete");
    else
        fail(why, OK, "complete");
}

void trail_node_why(const struct trail *trail, uint32_t number, struct why *why)
{
    const struct trail_node *node = node_at(trail, number);
    uint32_t build = telling_build(trail, node);
    if (node->basis == BASIS_GROUND)
        fail(why, OK, node->claims & AS_FIXED ? "ground: a fixed output" : "ground: a source");
    else if (node->basis == BASIS_REMEMBERED)
        fail(why, OK, "was complete before");
    else if (node->basis != NOTHING)
        fail(why, OK, "%s", node->why.text);
    else if (node->hope == TRUST_ATTESTED && build != NONE && !trail_is_ground(trail, node))
        trail_build_why(trail, build, why);
    else
        say_unattested(trail, node, why);
}

/* The version where the trail ends, from the one asked about on: the first input that is not complete, of the first attestation
 * that may count, and so on. *of is what uses it, *steps how far down it is; NONE where it comes back to where it was. */
static uint32_t find_end(const struct trail *trail, uint32_t *of, uint32_t *steps)
{
    uint32_t at = trail->root;
    *of = NONE;
    for (*steps = 0; *steps <= trail->nodes.n; (*steps)++) {
        const struct trail_node *node = node_at(trail, at);
        uint32_t build = node->hope == TRUST_ATTESTED ? telling_build(trail, node) : NONE, next;
        if (build == NONE || build_at(trail, build)->state != BUILD_OPEN)
            return at;
        next = first_open_input(trail, build_at(trail, build));
        if (next == NONE)
            return at;
        *of = at;
        at = next;
    }
    return NONE;
}

void trail_why(const struct trail *trail, struct why *why)
{
    struct why end;
    uint32_t of, steps;
    if (trail->root == NONE || trail->too_large) {
        fail(why, ERR_REFUSED, "its trail is too large to follow: more than %u paths, %u inputs or %u steps", TRAIL_PLACES_MAX,
             TRAIL_INPUTS_MAX, TRAIL_ROUNDS_MAX);
        return;
    }
    if (node_at(trail, trail->root)->basis != NOTHING) {
        trail_node_why(trail, trail->root, &end);
        fail(why, OK, "%s, and so is all that it was built from", end.text);
        return;
    }
    uint32_t at = find_end(trail, &of, &steps);
    if (at == NONE) {
        fail(why, ERR_REFUSED, "its trail comes back to itself and never reaches ground");
        return;
    }
    trail_node_why(trail, at, &end);
    if (at == trail->root)
        fail(why, ERR_REFUSED, "its trail ends at once: %s", end.text);
    else
        fail(why, ERR_REFUSED, "its trail ends %u step%s down, at %.*s, an input of %.*s: %s", steps, steps == 1 ? "" : "s",
             SPAN_FMT(place_at(trail, node_at(trail, at)->place)->path.base),
             SPAN_FMT(place_at(trail, node_at(trail, of)->place)->path.base), end.text);
}

static enum err inputs_attested(void *ctx, const struct trust_evidence *evidence, bool *out, struct why *reason, struct why *why)
{
    const struct trail *trail = ctx;
    (void)why;
    *out = false;
    fail(reason, ERR_REFUSED, "its trail was not followed");
    for (uint32_t i = 0; i < trail->config.policy->logs_n; i++) {
        if (!span_eq(trail->config.policy->logs[i].key.name, evidence->origin))
            continue;
        uint32_t build = trail_build_find(trail, i, evidence->index);
        if (build == NONE)
            return OK;
        *out = build_at(trail, build)->state == BUILD_COMPLETE;
        if (build_at(trail, build)->state == BUILD_OPEN && build_at(trail, build)->followed && !trail->too_large)
            trail_why(trail, reason);
        else
            trail_build_why(trail, build, reason);
    }
    return OK;
}

struct trust_inputs trail_inputs(struct trail *trail)
{
    return (struct trust_inputs){ inputs_attested, trail };
}
