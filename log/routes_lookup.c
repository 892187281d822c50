/* The look-ups: proof bundles of what the indices name, as far as it is published. */
#include <stdio.h>
#include <stdlib.h>

#include "log/lookups.h"
#include "log/proofs.h"
#include "log/routes.h"

/* What an answer is put together with: a snapshot for as many look-ups as one may serve, and the tiles' nodes, which the proofs of
 * neighbours share. */
struct looking {
    struct routes *routes;
    struct store *store;
    struct published_view shown;
    struct store_view view;
    bool viewing;
    unsigned looked_up; /* in this snapshot */
    struct tile_cache *cache;
};

/* One that no other thread has, with what it holds of earlier answers. NULL where memory is short: every proof then hashes its
 * tiles anew. */
static struct tile_cache *take_cache(struct routes *routes)
{
    struct tile_cache *cache = NULL;
    for (size_t i = 0; i < LOOKUP_THREADS && cache == NULL; i++)
        cache = atomic_exchange(&routes->caches[i], NULL);
    return cache != NULL ? cache : calloc(1, sizeof *cache);
}

static void give_cache(struct routes *routes, struct tile_cache *cache)
{
    for (size_t i = 0; i < LOOKUP_THREADS && cache != NULL; i++) {
        struct tile_cache *none = NULL;
        if (atomic_compare_exchange_strong(&routes->caches[i], &none, cache))
            return;
    }
    free(cache);
}

void routes_free_caches(struct routes *routes)
{
    for (size_t i = 0; i < LOOKUP_THREADS; i++)
        free(atomic_exchange(&routes->caches[i], NULL));
}

/* False where the request was answered already. */
static bool start_looking(struct looking *looking, struct routes *routes, struct http_request *request)
{
    *looking = (struct looking){ .routes = routes, .store = routes->pipeline->store };
    if (!routes_take_published(routes, request, &looking->shown))
        return false;
    looking->cache = take_cache(routes);
    return true;
}

static void end_view(struct looking *looking)
{
    if (looking->viewing)
        store_view_end(&looking->view);
    looking->viewing = false;
    looking->looked_up = 0;
}

static void end_looking(struct looking *looking)
{
    end_view(looking);
    give_cache(looking->routes, looking->cache);
    published_release(&looking->shown);
}

static enum err begin_view(struct looking *looking, struct why *why)
{
    if (looking->looked_up++ == ANSWERS_A_VIEW_MAX)
        end_view(looking);
    if (looking->viewing)
        return OK;
    enum err err = store_view_begin(looking->store, &looking->view, why);
    looking->viewing = err == OK;
    looking->view.tiles.cache = looking->cache;
    return err;
}

/* Appends the bundles of a look-up, as many as fit an answer; *cut where that was not all of them. */
static enum err look_up(struct looking *looking, struct store_lookup *lookup, struct buf *out, bool *cut, struct why *why)
{
    uint64_t indices[LOOKUP_ENTRIES_MAX];
    size_t n = 0, i = 0;
    enum err err = begin_view(looking, why);
    if (err != OK)
        return err;
    lookup->size = looking->shown.newest->head.size;
    err = store_view_lookup(&looking->view, lookup, indices, LOOKUP_ENTRIES_MAX, &n, why);
    for (; i < n && err == OK && out->len < BUNDLES_BYTES_MAX - PROOF_BYTES_MAX; i++) {
        struct span entry;
        err = store_view_entry(&looking->view, indices[i], &entry, why);
        if (err == OK)
            err = proof_of_entry(&looking->view, published_head_for(&looking->shown, indices[i]), indices[i], entry, out, why);
    }
    *cut = i < n;
    return err == OK ? buf_done(out, why) : err;
}

/* Answers with the bundles found; 404 where there is none and `all` was looked up. */
static void answer(struct http_request *request, enum err err, const struct why *why, bool all, struct http_header more,
                   struct buf *body)
{
    if (err != OK)
        routes_reply_err(request, err, why);
    else if (all && body->len == 0)
        http_reply_problem(request, 404, 0, "this log has no such attestation");
    else
        routes_reply_packed(request, TEXT_PLAIN, PUBLISHED_CACHE, more, body);
    buf_free(body);
}

static void answer_one(struct routes *routes, struct http_request *request, struct store_lookup *lookup)
{
    struct looking looking;
    struct why why;
    bool cut;
    if (!start_looking(&looking, routes, request))
        return;
    struct buf body = BUF_EMPTY;
    enum err err = look_up(&looking, lookup, &body, &cut, &why);
    answer(request, err, &why, true, NOTHING_MORE, &body);
    end_looking(&looking);
}

static void answer_path(struct routes *routes, struct http_request *request, struct span rest, enum store_index by)
{
    struct lookup_builders builders;
    struct store_lookup lookup = { .by = by, .builders = builders.hashes, .per_builder = OUTPUT_ATTESTATIONS_MAX };
    struct why why;
    enum err err = lookup_hash_part(lookup.hash_part, rest, &why);
    if (err == OK)
        err = lookup_after(&lookup.from, http_query(request, "after"), &why);
    if (err == OK)
        err = lookup_builders(&builders, http_query(request, "builder"), &why);
    if (err != OK) {
        routes_reply_err(request, err, &why);
        return;
    }
    lookup.builders_n = builders.n;
    answer_one(routes, request, &lookup);
}

void route_output(struct routes *routes, struct http_request *request, struct span rest)
{
    answer_path(routes, request, rest, STORE_OUTPUT);
}

void route_derivation(struct routes *routes, struct http_request *request, struct span rest)
{
    answer_path(routes, request, rest, STORE_DERIVATION);
}

void route_builder(struct routes *routes, struct http_request *request, struct span rest)
{
    struct hash builder;
    struct store_lookup lookup = { .by = STORE_BUILDER, .builders = &builder, .builders_n = 1, .per_builder = LOOKUP_ENTRIES_MAX };
    struct why why;
    enum err err = lookup_builder(&builder, rest, &why);
    if (err == OK)
        err = lookup_after(&lookup.from, http_query(request, "after"), &why);
    if (err == OK)
        answer_one(routes, request, &lookup);
    else
        routes_reply_err(request, err, &why);
}

/* Looks up one hash part after the other. What belongs to one stands in one answer: where it does not fit, the answer ends
 * before it. The first is cut as an answer to it alone would be. */
static enum err look_up_list(struct looking *looking, const struct lookup_list *list, struct buf *out, size_t *answered,
                             struct why *why)
{
    struct store_lookup lookup = {
        .by = STORE_OUTPUT,
        .builders = list->builders.hashes,
        .builders_n = list->builders.n,
        .per_builder = OUTPUT_ATTESTATIONS_MAX,
    };
    struct span rest = list->parts;
    size_t max = LOOKUP_STEPS_MAX / (list->builders.n + 1);
    for (*answered = 0; *answered < max && lookup_list_next(&rest, lookup.hash_part); (*answered)++) {
        size_t before = out->len;
        bool cut;
        enum err err = look_up(looking, &lookup, out, &cut, why);
        if (err != OK)
            return err;
        if (cut && *answered > 0) {
            out->len = before;
            break;
        }
    }
    return OK;
}

void route_outputs(struct routes *routes, struct http_request *request, struct span rest)
{
    (void)rest;
    struct looking looking;
    struct lookup_list list;
    struct why why;
    size_t answered;
    char text[24];
    enum err err = lookup_list_parse(&list, http_body(request), &why);
    if (err != OK) {
        http_reply_problem(request, err == ERR_REFUSED ? 413 : 400, 0, "%s", why.text);
        return;
    }
    if (!start_looking(&looking, routes, request))
        return;
    struct buf body = BUF_EMPTY;
    err = look_up_list(&looking, &list, &body, &answered, &why);
    snprintf(text, sizeof text, "%zu", answered);
    answer(request, err, &why, answered == list.n, (struct http_header){ "Stele-Answered", text }, &body);
    end_looking(&looking);
}
