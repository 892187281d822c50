#include "client/trail_graph.h"

#include <stdlib.h>

bool table_room(struct table *table, size_t size, uint32_t more)
{
    if (table->cap - table->n >= more)
        return true;
    size_t cap = 2 * (size_t)table->cap + more + 64;
    void *items = cap > UINT32_MAX / 2 ? NULL : realloc(table->items, cap * size);
    if (items == NULL)
        return false;
    table->items = items;
    table->cap = (uint32_t)cap;
    return true;
}

bool table_push_number(struct table *table, uint32_t number)
{
    if (!table_room(table, sizeof number, 1))
        return false;
    ((uint32_t *)table->items)[table->n++] = number;
    return true;
}

static uint32_t hash_of_span(struct span s)
{
    struct hash hash = sha256_of(s);
    return get_be32(hash.b);
}

static uint32_t *place_slot(const struct trail *trail, struct span hash_part)
{
    uint32_t at = hash_of_span(hash_part) & (trail->place_slots_n - 1);
    while (trail->place_slots[at] != NONE && !span_eq(place_at(trail, trail->place_slots[at])->path.hash_part, hash_part))
        at = (at + 1) & (trail->place_slots_n - 1);
    return &trail->place_slots[at];
}

static uint32_t build_hash(uint32_t origin, uint64_t index)
{
    uint64_t x = (index * 0x9e3779b97f4a7c15u) ^ ((uint64_t)origin << 40);
    return (uint32_t)(x >> 29);
}

static uint32_t *build_slot(const struct trail *trail, uint32_t origin, uint64_t index)
{
    uint32_t at = build_hash(origin, index) & (trail->build_slots_n - 1);
    while (trail->build_slots[at] != NONE &&
           (build_at(trail, trail->build_slots[at])->origin != origin || build_at(trail, trail->build_slots[at])->index != index))
        at = (at + 1) & (trail->build_slots_n - 1);
    return &trail->build_slots[at];
}

/* Twice as many slots, empty: the caller fills them anew. */
static bool grow_slots(uint32_t **slots, uint32_t *n)
{
    uint32_t more = *n == 0 ? 1024 : 2 * *n;
    uint32_t *bigger = malloc(more * sizeof *bigger);
    if (bigger == NULL)
        return false;
    memset(bigger, 0xff, more * sizeof *bigger);
    free(*slots);
    *slots = bigger;
    *n = more;
    return true;
}

uint32_t trail_place_part(const struct trail *trail, struct span hash_part)
{
    return trail->place_slots_n == 0 ? NONE : *place_slot(trail, hash_part);
}

static uint32_t find_place(const struct trail *trail, const struct storepath *path)
{
    uint32_t number = trail_place_part(trail, path->hash_part);
    while (number != NONE && !span_eq(place_at(trail, number)->path.path, path->path))
        number = place_at(trail, number)->same_part;
    return number;
}

/* Twice as many slots for places, filled anew. */
static bool grow_places(struct trail *trail)
{
    if (!grow_slots(&trail->place_slots, &trail->place_slots_n))
        return false;
    for (uint32_t i = 0; i < trail->places.n; i++) {
        uint32_t *slot = place_slot(trail, place_at(trail, i)->path.hash_part);
        place_at(trail, i)->same_part = *slot;
        *slot = i;
    }
    return true;
}

uint32_t trail_place(struct trail *trail, const struct storepath *path)
{
    uint32_t number = find_place(trail, path);
    if (number != NONE)
        return number;
    if (trail->places.n == TRAIL_PLACES_MAX) {
        trail->too_large = true;
        return NONE;
    }
    if (2 * trail->places.n >= trail->place_slots_n && !grow_places(trail))
        return NONE;
    struct span copy = arena_dup(&trail->arena, path->path);
    if (copy.data == NULL || !table_room(&trail->places, sizeof(struct trail_place), 1))
        return NONE;
    struct trail_place *place = place_at(trail, trail->places.n);
    uint32_t *slot = place_slot(trail, path->hash_part);
    *place = (struct trail_place){ .node = NONE, .step = NONE, .same_part = *slot };
    storepath_parse(&place->path, copy, NULL); /* it was parsed before */
    *slot = trail->places.n;
    return trail->places.n++;
}

uint32_t trail_node_find(const struct trail *trail, uint32_t place, const struct hash *nar_hash)
{
    uint32_t number = place_at(trail, place)->node;
    while (number != NONE && !hash_eq(&node_at(trail, number)->nar_hash, nar_hash))
        number = node_at(trail, number)->next;
    return number;
}

uint32_t trail_build_find(const struct trail *trail, uint32_t origin, uint64_t index)
{
    return trail->build_slots_n == 0 ? NONE : *build_slot(trail, origin, index);
}

enum err trail_build_index(struct trail *trail, uint32_t build, struct why *why)
{
    if (2 * trail->builds.n >= trail->build_slots_n) {
        if (!grow_slots(&trail->build_slots, &trail->build_slots_n))
            return fail(why, ERR_ENV, "out of memory");
        for (uint32_t i = 0; i < build; i++)
            *build_slot(trail, build_at(trail, i)->origin, build_at(trail, i)->index) = i;
    }
    *build_slot(trail, build_at(trail, build)->origin, build_at(trail, build)->index) = build;
    return OK;
}

enum err trail_refs(struct trail *trail, struct span dir, const struct span *bases, size_t n, struct refs *out, struct why *why)
{
    struct buf path = BUF_EMPTY;
    enum err err = OK;
    *out = (struct refs){ .from = trail->references.n };
    if (n > TRAIL_INPUTS_MAX - trail->references.n) {
        trail->too_large = true;
        return OK;
    }
    for (size_t i = 0; i < n && err == OK; i++) {
        struct storepath parsed;
        buf_clear(&path);
        buf_span(&path, dir);
        buf_byte(&path, '/');
        buf_span(&path, bases[i]);
        err = buf_done(&path, why);
        if (err != OK || storepath_parse(&parsed, span_buf(&path), NULL) != OK)
            continue;
        uint32_t place = trail_place(trail, &parsed);
        if (place == NONE && trail->too_large)
            break;
        if (place == NONE || !table_push_number(&trail->references, place))
            err = fail(why, ERR_ENV, "out of memory");
    }
    buf_free(&path);
    out->n = trail->references.n - out->from;
    out->known = out->n == n;
    return err;
}

bool trail_is_ground(const struct trail *trail, const struct trail_node *node)
{
    const struct trail_place *place = place_at(trail, node->place);
    bool require = trail->config.trust->fixed_output_require;
    if (node->claims & AS_OUTPUT)
        return false;
    if (node->claims & AS_FIXED)
        return !require;
    /* What a builder attests to have built is no source; whether it was a fixed output, only its user's attestation tells. */
    if (node->claims & AS_SOURCE)
        return !place->built;
    return (node->claims & AS_REFERENCE) && !require && !place->built && place->info != NULL && place->info->fits &&
           hash_eq(&place->info->nar_hash, &node->nar_hash);
}

bool trail_ground_contested(const struct trail *trail, const struct trail_node *node)
{
    const struct trail_place *place = place_at(trail, node->place);
    if (place->info != NULL && place->info->fits && !hash_eq(&place->info->nar_hash, &node->nar_hash))
        return true;
    for (uint32_t i = place->node; i != NONE; i = node_at(trail, i)->next)
        if (!hash_eq(&node_at(trail, i)->nar_hash, &node->nar_hash) && trail_is_ground(trail, node_at(trail, i)))
            return true;
    return false;
}

enum err trail_want(struct trail *trail, uint32_t number, bool info, struct why *why)
{
    struct trail_place *place = place_at(trail, number);
    bool *wanted = info ? &place->info_wanted : &place->wanted;
    if (*wanted || (info ? place->info_answered : place->answered))
        return OK;
    *wanted = true;
    return table_push_number(info ? &trail->infos_wanted : &trail->wanted, number) ? OK : fail(why, ERR_ENV, "out of memory");
}

/* Hash parts of places, or of those whose narinfo is wanted. */
static void render_parts(struct trail *trail, bool info)
{
    struct table *wanted = info ? &trail->infos_wanted : &trail->wanted;
    struct buf *text = info ? &trail->infos : &trail->asks;
    buf_clear(text);
    for (uint32_t n = 0; n < LOOKUP_PARTS_MAX && wanted->n > 0;) {
        struct trail_place *place = place_at(trail, number_at(wanted, --wanted->n));
        if (info ? place->info_answered : place->answered)
            continue; /* by the answer for another path with this hash part */
        *(info ? &place->info_asked : &place->asked) = true;
        trail->open++;
        n++;
        buf_span(text, place->path.hash_part);
        buf_byte(text, '\n');
    }
}

/* Several builders of one derivation have one list: it is asked for once. */
static bool is_asked(const struct trail *trail, const struct hash *list)
{
    for (uint32_t i = 0; i < trail->lists_asked.n; i++)
        if (hash_eq(&build_at(trail, number_at(&trail->lists_asked, i))->list, list))
            return true;
    return false;
}

enum err trail_render_wants(struct trail *trail, struct trail_wants *out, struct why *why)
{
    render_parts(trail, false);
    render_parts(trail, true);
    buf_clear(&trail->lists);
    for (; trail->lists_wanted.n > 0; trail->lists_wanted.n--, trail->open++) {
        uint32_t number = number_at(&trail->lists_wanted, trail->lists_wanted.n - 1);
        bool asked = is_asked(trail, &build_at(trail, number)->list);
        if (!table_push_number(&trail->lists_asked, number))
            return fail(why, ERR_ENV, "out of memory");
        if (asked)
            continue;
        hex_encode(&trail->lists, span_of(build_at(trail, number)->list.b, 32));
        buf_byte(&trail->lists, '\n');
    }
    *out = (struct trail_wants){ TRAIL_WANTS, span_buf(&trail->asks), span_buf(&trail->lists), span_buf(&trail->infos) };
    return trail->asks.failed || trail->lists.failed || trail->infos.failed ? fail(why, ERR_ENV, "out of memory") : OK;
}

bool trail_wants_some(const struct trail *trail)
{
    return trail->wanted.n > 0 || trail->lists_wanted.n > 0 || trail->infos_wanted.n > 0;
}
