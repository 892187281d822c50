#include "client/trail_graph.h"

#include <stdlib.h>

static enum err out_of_memory(struct why *why)
{
    return fail(why, ERR_ENV, "out of memory");
}

enum err trail_new(struct trail **out, const struct trail_config *config, struct why *why)
{
    struct trail *trail = calloc(1, sizeof *trail);
    *out = NULL;
    if (trail == NULL)
        return out_of_memory(why);
    trail->config = *config;
    trail->root = NONE;
    /* A contradiction that is logged tomorrow must be noticed tomorrow. */
    if (config->trust->divergence_refuse)
        trail->config.memory = NULL;
    for (size_t i = 0; i < sizeof trail->statements / sizeof *trail->statements; i++)
        trail->statements[i] = (struct statement){ .foreign = i >= 4, .claim = (enum claim)(i % 4), .inputs_recorded = true };
    enum err err = trail_prover(trail, why);
    if (err == OK)
        *out = trail;
    else
        trail_free(trail);
    return err;
}

void trail_free(struct trail *trail)
{
    if (trail == NULL)
        return;
    prover_free(trail->prover);
    struct table *tables[] = { &trail->places,       &trail->nodes,    &trail->builds, &trail->steps,        &trail->inputs,
                               &trail->references,   &trail->queue,    &trail->wanted, &trail->lists_wanted, &trail->lists_asked,
                               &trail->infos_wanted, &trail->evidence, &trail->reasons };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        free(tables[i]->items);
    free(trail->place_slots);
    free(trail->build_slots);
    free(trail->asked_cache_signed);
    buf_free(&trail->asks);
    buf_free(&trail->lists);
    buf_free(&trail->infos);
    buf_free(&trail->heads);
    arena_free(&trail->arena);
    free(trail);
}

static enum err enqueue(struct trail *trail, uint32_t number, struct why *why)
{
    struct trail_node *node = node_at(trail, number);
    if (node->queued)
        return OK;
    node->queued = true;
    return table_push_number(&trail->queue, number) ? OK : out_of_memory(why);
}

static enum err enqueue_versions(struct trail *trail, uint32_t place, struct why *why)
{
    enum err err = OK;
    for (uint32_t i = place_at(trail, place)->node; i != NONE && err == OK; i = node_at(trail, i)->next)
        err = enqueue(trail, i, why);
    return err;
}

/* Was this version complete before, as what it is taken for now? Then its references are known from there. */
static enum err remember(struct trail *trail, uint32_t number, struct why *why)
{
    struct trail_node *node = node_at(trail, number);
    struct storepath path = place_at(trail, node->place)->path;
    const struct trail_remembered *one = trail_memory_find(trail->config.memory, path.path);
    node->remembered = false;
    while (one != NULL && !(hash_eq(&one->line.nar_hash, &node->nar_hash) && (one->line.built || !(node->claims & AS_OUTPUT))))
        one = one->next;
    if (one == NULL || number == trail->root)
        return OK;
    struct span bases[64], rest = one->line.references, *all = bases;
    size_t n = 0;
    for (size_t i = 0; i < rest.len; i++)
        n += rest.data[i] == ' ';
    if (n > sizeof bases / sizeof *bases && (all = calloc(n, sizeof *all)) == NULL)
        return out_of_memory(why);
    for (n = 0; span_word(&rest, &all[n]); n++) {
    }
    struct refs refs;
    enum err err = trail_refs(trail, path.dir, all, n, &refs, why);
    if (all != bases)
        free(all);
    node = node_at(trail, number);
    node->refs = refs;
    node->remembered = err == OK;
    return err;
}

/* A version of a place, taken for what `claim` says. */
static enum err claim_node(struct trail *trail, uint32_t place, const struct hash *nar_hash, unsigned claim, uint32_t *out,
                           struct why *why)
{
    uint32_t number = trail_node_find(trail, place, nar_hash);
    if (number == NONE) {
        if (!table_room(&trail->nodes, sizeof(struct trail_node), 1))
            return out_of_memory(why);
        number = trail->nodes.n++;
        *node_at(trail, number) = (struct trail_node){
            .place = place, .nar_hash = *nar_hash, .next = place_at(trail, place)->node, .hope = TRUST_REFUSED
        };
        place_at(trail, place)->node = number;
    }
    struct trail_node *node = node_at(trail, number);
    *out = number;
    if ((node->claims | claim) == node->claims)
        return OK;
    node->claims |= (uint8_t)claim;
    enum err err = remember(trail, number, why);
    return err == OK ? enqueue(trail, number, why) : err;
}

/* What a path that is referred to may be: every version that a builder of the trust file attested, else what a cache shows. */
static enum err claim_versions(struct trail *trail, uint32_t number, struct why *why)
{
    uint32_t node;
    enum err err = OK;
    if (place_at(trail, number)->step == NONE)
        err = trail_want(trail, number, true, why);
    for (uint32_t i = place_at(trail, number)->step; i != NONE && err == OK; i = step_at(trail, i)->next)
        err = claim_node(trail, number, &step_at(trail, i)->subject.nar_hash, AS_REFERENCE, &node, why);
    const struct trail_info *info = place_at(trail, number)->info;
    if (err == OK && info != NULL)
        err = claim_node(trail, number, &info->nar_hash, AS_REFERENCE, &node, why);
    return err;
}

static enum err refer(struct trail *trail, const struct refs *refs, struct why *why)
{
    enum err err = OK;
    for (uint32_t i = 0; i < refs->n && err == OK; i++) {
        uint32_t number = number_at(&trail->references, refs->from + i), node;
        struct trail_place *place = place_at(trail, number);
        if (place->referenced)
            continue;
        place->referenced = true;
        const struct trail_remembered *one = trail_memory_find(trail->config.memory, place->path.path);
        if (place->answered)
            err = claim_versions(trail, number, why);
        else if (one == NULL)
            err = trail_want(trail, number, false, why);
        for (; one != NULL && err == OK; one = one->next)
            err = claim_node(trail, number, &one->line.nar_hash, AS_REFERENCE, &node, why);
    }
    return err;
}

/* All inputs of an attestation that may count. */
static enum err claim_inputs(struct trail *trail, uint32_t number, struct why *why)
{
    static const unsigned as[] = { [INPUT_SOURCE] = AS_SOURCE, [INPUT_FIXED] = AS_FIXED, [INPUT_OUTPUT] = AS_OUTPUT };
    struct trail_build build = *build_at(trail, number);
    enum err err = OK;
    for (uint32_t i = build.input; i < build.input + build.inputs_n && err == OK; i++) {
        struct trail_input input = *input_at(trail, i);
        err = claim_node(trail, input.place, &input.nar_hash, as[input.kind], &input.node, why);
        if (err != OK)
            return err;
        input_at(trail, i)->node = input.node;
        struct trail_node *node = node_at(trail, input.node);
        if (input.refs.known && !node->refs.known)
            node->refs = input.refs;
        err = refer(trail, &input.refs, why);
    }
    return err;
}

static enum err follow(struct trail *trail, uint32_t number, struct why *why)
{
    struct trail_build *build = build_at(trail, number);
    if (build->followed || !build->recorded)
        return OK;
    build->followed = true;
    if (!build->has_list)
        return claim_inputs(trail, number, why);
    build->list_wanted = true;
    return table_push_number(&trail->lists_wanted, number) ? OK : out_of_memory(why);
}

/* May a cache's signature end the trail here? */
static bool may_be_vouched(const struct trail *trail, uint32_t place)
{
    const struct trust *trust = trail->config.trust;
    const struct trust_quorum *quorum = trust_quorum_for(trust, place_at(trail, place)->path.name);
    for (uint32_t i = 0; i < trust->parties_n; i++)
        if (trust->parties[i].cache && quorum_reaches(&trust->quorum, quorum->node, i))
            return true;
    return false;
}

/* Goes one step from a version: to the attestations that may count, and to what it refers to. */
static enum err expand(struct trail *trail, uint32_t number, struct why *why)
{
    struct trail_node *node = node_at(trail, number);
    uint32_t place = node->place;
    struct trust_result result;
    struct refs refs;
    node->queued = false;
    if (node->remembered)
        return refer(trail, &node->refs, why);
    if (!place_at(trail, place)->answered)
        return trail_want(trail, place, false, why);
    if (trail_is_ground(trail, node)) {
        refs = node->refs;
        return refer(trail, &refs, why);
    }
    enum err err = trail_judge(trail, number, false, &result, &refs, why);
    if (err != OK)
        return err;
    node = node_at(trail, number);
    node->hope = result.verdict;
    node->why = result.why;
    /* What is asked about, and no build used, stands in no closure: nothing rests on what it refers to. */
    if (node->claims != AS_ASKED)
        err = refer(trail, &refs, why);
    bool info_helps =
        may_be_vouched(trail, place) || result.verdict == TRUST_EXEMPT || node_at(trail, number)->claims == AS_REFERENCE;
    if (err == OK && result.verdict != TRUST_ATTESTED && info_helps)
        return trail_want(trail, place, true, why);
    struct hash nar_hash = node_at(trail, number)->nar_hash;
    for (uint32_t i = place_at(trail, place)->step; i != NONE && err == OK; i = step_at(trail, i)->next)
        if (step_at(trail, i)->reason == COUNTS && hash_eq(&step_at(trail, i)->subject.nar_hash, &nar_hash))
            err = follow(trail, step_at(trail, i)->build, why);
    return err;
}

void trail_not_asked(struct trail *trail)
{
    trail->unasked = true;
}

enum err trail_ask(struct trail *trail, const struct trust_path *path, struct why *why)
{
    size_t n = trail->config.trust->parties_n;
    uint32_t place = trail_place(trail, &path->path);
    trail->asked_cache_signed = calloc(n + 1, sizeof *trail->asked_cache_signed);
    if (place == NONE || trail->asked_cache_signed == NULL)
        return out_of_memory(why);
    trail->asked = *path;
    if (path->cache_signed != NULL) {
        memcpy(trail->asked_cache_signed, path->cache_signed, n * sizeof *path->cache_signed);
        trail->asked.cache_signed = trail->asked_cache_signed;
    }
    trail->asked.path = place_at(trail, place)->path;
    trail->root = trail->nodes.n; /* its number to be */
    return claim_node(trail, place, &path->nar_hash, AS_ASKED, &trail->root, why);
}

enum err trail_feed_list(struct trail *trail, struct span hex, struct span list, struct why *why)
{
    struct hash hash, own = sha256_of(list);
    struct input *inputs = NULL;
    size_t n = 0;
    bool right = hex_decode(hex, hash.b, sizeof hash.b) && hash_eq(&hash, &own) && input_list_parse(list, &inputs, &n, NULL) == OK;
    enum err err = OK;
    for (uint32_t i = 0; i < trail->lists_asked.n && err == OK;) {
        uint32_t *asked = trail->lists_asked.items, number = asked[i];
        struct trail_build *build = build_at(trail, number);
        if (!hash_eq(&build->list, &hash)) {
            i++;
            continue;
        }
        asked[i] = asked[--trail->lists_asked.n];
        trail->open--;
        build->list_wanted = false;
        build->list_missing = !right;
        if (right)
            err = trail_take_inputs(trail, number, inputs, n, why);
        if (right && err == OK)
            err = claim_inputs(trail, number, why);
    }
    free(inputs);
    return err;
}

/* The narinfo's signatures under the trust file's caches. */
static bool *check_signatures(struct trail *trail, const struct narinfo *narinfo)
{
    struct nix_key keys[TRUST_BUILDERS_MAX];
    uint32_t parties[TRUST_BUILDERS_MAX];
    bool by[TRUST_BUILDERS_MAX] = { false };
    size_t n = trust_cache_keys(trail->config.trust, keys, parties, TRUST_BUILDERS_MAX);
    bool *flags = arena_room(&trail->arena, trail->config.trust->parties_n + 1);
    if (flags == NULL || n == 0)
        return flags;
    narinfo_verify(narinfo, keys, n, by);
    for (size_t i = 0; i < n; i++)
        flags[parties[i]] |= by[i];
    return flags;
}

static enum err take_info(struct trail *trail, uint32_t number, struct span text, struct why *why)
{
    struct trail_place *place = place_at(trail, number);
    struct narinfo narinfo = { 0 };
    struct trail_info *info = arena_room(&trail->arena, sizeof *info);
    enum err err = OK;
    trail->open -= place->info_asked && !place->info_answered;
    place->info_answered = true;
    if (info == NULL)
        return out_of_memory(why);
    if (text.len > 0 && narinfo_parse(&narinfo, text, place->path.dir, NULL) == OK &&
        span_eq(narinfo.path.path, place->path.path)) {
        *info = (struct trail_info){
            .nar_hash = narinfo.nar_hash,
            .nar_size = narinfo.nar_size,
            .references_digest = references_digest(narinfo.references, narinfo.references_n),
            .fits = narinfo.ca.len > 0,
            .cache_signed = check_signatures(trail, &narinfo),
        };
        err = trail_refs(trail, place->path.dir, narinfo.references, narinfo.references_n, &info->refs, why);
        if (info->cache_signed == NULL)
            err = out_of_memory(why);
        place_at(trail, number)->info = info;
    }
    narinfo_free(&narinfo);
    if (err == OK && place_at(trail, number)->referenced)
        err = claim_versions(trail, number, why);
    return err == OK ? enqueue_versions(trail, number, why) : err;
}

enum err trail_feed_info(struct trail *trail, struct span hash_part, struct span narinfo, struct why *why)
{
    enum err err = OK;
    for (uint32_t i = trail_place_part(trail, hash_part); i != NONE && err == OK; i = place_at(trail, i)->same_part)
        err = take_info(trail, i, narinfo, why);
    return err;
}

/* All that is known of these paths is here. */
enum err trail_answered(struct trail *trail, struct span hash_part, struct why *why)
{
    enum err err = OK;
    for (uint32_t i = trail_place_part(trail, hash_part); i != NONE && err == OK; i = place_at(trail, i)->same_part) {
        trail->open -= place_at(trail, i)->asked && !place_at(trail, i)->answered;
        place_at(trail, i)->answered = true;
        if (place_at(trail, i)->referenced)
            err = claim_versions(trail, i, why);
        if (err == OK)
            err = enqueue_versions(trail, i, why);
    }
    return err;
}

/* Where the trail does not come out: what was taken from memory, or not asked of a cache, may make the difference. */
static enum err look_closer(struct trail *trail, struct why *why)
{
    enum err err = OK;
    for (uint32_t i = 0; i < trail->places.n && err == OK; i++)
        if (place_at(trail, i)->referenced)
            err = trail_want(trail, i, false, why);
    for (uint32_t i = 0; i < trail->nodes.n && err == OK; i++)
        if (node_at(trail, i)->basis == NOTHING && may_be_vouched(trail, node_at(trail, i)->place))
            err = trail_want(trail, node_at(trail, i)->place, true, why);
    return err;
}

/* What is complete goes into the memory. */
static enum err keep(struct trail *trail, struct why *why)
{
    struct buf references = BUF_EMPTY;
    enum err err = OK;
    for (uint32_t i = 0; i < trail->nodes.n && err == OK; i++) {
        const struct trail_node *node = node_at(trail, i);
        if (node->basis == NOTHING || node->basis == BASIS_REMEMBERED)
            continue;
        buf_clear(&references);
        for (uint32_t r = 0; r < node->refs.n; r++) {
            buf_byte(&references, ' ');
            buf_span(&references, place_at(trail, number_at(&trail->references, node->refs.from + r))->path.base);
        }
        err = buf_done(&references, why);
        if (err == OK)
            err = trail_memory_keep(trail->config.memory,
                                    &(struct trailfile_line){ .path = place_at(trail, node->place)->path.path,
                                                              .nar_hash = node->nar_hash,
                                                              .built = node->basis != BASIS_GROUND,
                                                              .references = span_buf(&references) },
                                    why);
    }
    trail_memory_flush(trail->config.memory);
    buf_free(&references);
    return err;
}

enum err trail_step(struct trail *trail, struct trail_wants *wants, struct why *why)
{
    bool closer = false;
    *wants = (struct trail_wants){ .state = TRAIL_BROKEN };
    enum err err = prover_take(trail->prover, false, why);
    for (;;) {
        while (err == OK && trail->queue.n > 0 && !trail->too_large)
            err = expand(trail, number_at(&trail->queue, --trail->queue.n), why);
        if (err != OK)
            return err;
        if (trail->too_large || trail->rounds == TRAIL_ROUNDS_MAX) {
            trail->too_large = true;
            return OK;
        }
        if (trail_wants_some(trail)) {
            trail->rounds += trail->open == 0;
            return trail_render_wants(trail, wants, why);
        }
        if (prover_busy(trail->prover) && !(trail->notified && trail->open > 0)) {
            err = prover_take(trail->prover, true, why);
            continue;
        }
        if (trail->open > 0) {
            wants->state = TRAIL_WANTS;
            return OK;
        }
        err = trail_settle(trail, why);
        if (err != OK || node_at(trail, trail->root)->basis != NOTHING || closer)
            break;
        closer = true;
        err = look_closer(trail, why);
    }
    if (err == OK && trail->config.memory != NULL)
        err = keep(trail, why);
    if (err == OK && node_at(trail, trail->root)->basis != NOTHING)
        wants->state = TRAIL_COMPLETE;
    return err;
}
