/* What of a trail is complete: the least fixed point, found by a queue. No recursion; what rests on itself is never complete. */
#include "client/trail_graph.h"

#include <stdlib.h>

/* A build that waits for a place to be complete in some version. */
struct waiter {
    uint32_t build, next;
};

struct settling {
    struct trail *trail;
    struct table queue;       /* nodes that have become complete */
    uint32_t *users, *starts; /* builds by their inputs' nodes: users[starts[node] .. starts[node + 1]) */
    struct table waiters;
    uint32_t *waiting; /* the first waiter of each place */
    struct table mismatched;
    uint32_t *rank; /* of each place in the order of paths */
    /* For one closure: */
    uint32_t *stamp, *chosen; /* of each place: seen in this turn; as which node */
    uint32_t turn;
    struct table members; /* places */
    uint32_t digits[32], radix[32];
    size_t digits_n;
    uint64_t lines;
};

static enum err out_of_memory(struct why *why)
{
    return fail(why, ERR_ENV, "out of memory");
}

static bool complete(const struct trail *trail, uint32_t node)
{
    return node_at(trail, node)->basis != NOTHING;
}

/* The version of a place that this try takes: the only complete one, or the one that the next digit says; NONE: there is none. */
static uint32_t choose(struct settling *settling, uint32_t place, size_t *digit)
{
    const struct trail *trail = settling->trail;
    uint32_t candidates = 0, first = NONE, n = 0;
    for (uint32_t i = place_at(trail, place)->node; i != NONE; i = node_at(trail, i)->next)
        if (complete(trail, i)) {
            first = candidates++ == 0 ? i : first;
        }
    if (candidates <= 1)
        return first;
    size_t at = (*digit)++;
    if (at >= sizeof settling->digits / sizeof *settling->digits)
        return first;
    if (at >= settling->digits_n) {
        settling->digits[at] = 0;
        settling->radix[at] = candidates;
        settling->digits_n = at + 1;
    }
    for (uint32_t i = place_at(trail, place)->node; i != NONE; i = node_at(trail, i)->next)
        if (complete(trail, i) && n++ == settling->digits[at])
            return i;
    return first;
}

/* The next combination; false where there is none left. */
static bool next_digits(struct settling *settling)
{
    while (settling->digits_n > 0) {
        size_t last = settling->digits_n - 1;
        if (++settling->digits[last] < settling->radix[last])
            return true;
        settling->digits_n--;
    }
    return false;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The closure of a build's inputs, as paths and versions; *missing is a place of which none is complete. */
static bool gather_closure(struct settling *settling, const struct trail_build *build, uint32_t *missing)
{
    const struct trail *trail = settling->trail;
    size_t digit = 0;
    settling->members.n = 0;
    settling->turn++;
    *missing = NONE;
    for (uint32_t i = build->input; i < build->input + build->inputs_n; i++) {
        const struct trail_input *input = input_at(trail, i);
        settling->stamp[input->place] = settling->turn;
        settling->chosen[input->place] = input->node;
        if (!table_push_number(&settling->members, input->place))
            return false;
    }
    for (uint32_t m = 0; m < settling->members.n; m++) {
        const struct refs *refs = &node_at(trail, settling->chosen[number_at(&settling->members, m)])->refs;
        for (uint32_t r = 0; r < refs->n; r++) {
            uint32_t place = number_at(&trail->references, refs->from + r);
            if (settling->stamp[place] == settling->turn)
                continue;
            uint32_t node = choose(settling, place, &digit);
            if (node == NONE) {
                *missing = place;
                return true;
            }
            settling->stamp[place] = settling->turn;
            settling->chosen[place] = node;
            if (!table_push_number(&settling->members, place))
                return false;
        }
    }
    return true;
}

static struct hash digest(struct settling *settling, const uint32_t *by_rank)
{
    const struct trail *trail = settling->trail;
    struct sha256 state;
    uint32_t *ranks = settling->members.items;
    for (uint32_t i = 0; i < settling->members.n; i++)
        ranks[i] = settling->rank[ranks[i]];
    if (settling->members.n > 1)
        qsort(ranks, settling->members.n, sizeof *ranks, by_number);
    sha256_start(&state);
    for (uint32_t i = 0; i < settling->members.n; i++) {
        uint32_t place = by_rank[ranks[i]];
        closure_digest_add(&state, place_at(trail, place)->path.path, &node_at(trail, settling->chosen[place])->nar_hash);
    }
    settling->lines += settling->members.n;
    return sha256_end(&state);
}

static enum err wait_for(struct settling *settling, uint32_t place, uint32_t build, struct why *why)
{
    if (!table_room(&settling->waiters, sizeof(struct waiter), 1))
        return out_of_memory(why);
    ((struct waiter *)settling->waiters.items)[settling->waiters.n] = (struct waiter){ build, settling->waiting[place] };
    settling->waiting[place] = settling->waiters.n++;
    return OK;
}

/* Does the closure digest come out over versions that are all complete? */
static enum err try_closure(struct settling *settling, uint32_t number, const uint32_t *by_rank, struct why *why)
{
    struct trail_build *build = build_at(settling->trail, number);
    settling->digits_n = 0;
    for (int tries = 0; tries < TRAIL_CLOSURE_TRIES; tries++) {
        uint32_t missing;
        if (settling->lines > TRAIL_CLOSURE_LINES) {
            build->state = BUILD_CLOSURE_LARGE;
            return OK;
        }
        if (!gather_closure(settling, build, &missing))
            return out_of_memory(why);
        if (missing != NONE) {
            settling->lines += settling->members.n;
            build->state = BUILD_CLOSURE_OPEN;
            build->culprit = missing;
            return wait_for(settling, missing, number, why);
        }
        struct hash hash = digest(settling, by_rank);
        if (hash_eq(&hash, &build->closure)) {
            build->state = BUILD_COMPLETE;
            return OK;
        }
        if (!next_digits(settling))
            break;
    }
    build->state = BUILD_CLOSURE_WRONG;
    return table_push_number(&settling->mismatched, number) ? OK : out_of_memory(why);
}

static enum basis basis_of(enum trust_verdict verdict)
{
    switch (verdict) {
    case TRUST_ATTESTED: return BASIS_ATTESTED;
    case TRUST_VOUCHED: return BASIS_VOUCHED;
    case TRUST_EXEMPT: return BASIS_EXEMPT;
    case TRUST_FIXED: return BASIS_GROUND;
    case TRUST_REFUSED: break;
    }
    return NOTHING;
}

/* Asks the trust file about a version, with the attestations that are complete by now. */
static enum err rejudge(struct settling *settling, uint32_t number, struct why *why)
{
    struct trust_result result;
    struct refs refs;
    enum err err = trail_judge(settling->trail, number, true, &result, &refs, why);
    if (err != OK)
        return err;
    struct trail_node *node = node_at(settling->trail, number);
    bool before = node->basis != NOTHING;
    node->basis = basis_of(result.verdict);
    if (node->basis == NOTHING)
        return OK;
    node->why = result.why;
    node->refs = refs;
    return before || table_push_number(&settling->queue, number) ? OK : out_of_memory(why);
}

static enum err conclude_build(struct settling *settling, uint32_t number, const uint32_t *by_rank, struct why *why)
{
    struct trail *trail = settling->trail;
    enum err err = try_closure(settling, number, by_rank, why);
    if (err != OK || build_at(trail, number)->state != BUILD_COMPLETE)
        return err;
    for (uint32_t s = build_at(trail, number)->step; s != NONE && err == OK; s = step_at(trail, s)->next_of_build) {
        uint32_t node = trail_node_find(trail, step_at(trail, s)->place, &step_at(trail, s)->subject.nar_hash);
        if (node != NONE && node_at(trail, node)->basis != BASIS_REMEMBERED && !trail_is_ground(trail, node_at(trail, node)))
            err = rejudge(settling, node, why);
    }
    return err;
}

/* What is complete of itself. */
static enum err start_node(struct settling *settling, uint32_t number, struct why *why)
{
    struct trail *trail = settling->trail;
    struct trail_node *node = node_at(trail, number);
    const struct trail_info *info = place_at(trail, node->place)->info;
    node->basis = NOTHING;
    if (node->remembered) {
        node->basis = BASIS_REMEMBERED;
    } else if (!place_at(trail, node->place)->answered) {
        return OK;
    } else if (trail_is_ground(trail, node) && !trail_ground_contested(trail, node)) {
        node->basis = BASIS_GROUND;
        if (!node->refs.known && info != NULL)
            node->refs = info->refs;
    } else {
        /* A builder's word comes with its trail; a cache's, and an exemption, stand by themselves. */
        bool by_itself = node->hope != TRUST_ATTESTED || info != NULL || trail->config.trust->exempt_n > 0;
        return by_itself ? rejudge(settling, number, why) : OK;
    }
    return table_push_number(&settling->queue, number) ? OK : out_of_memory(why);
}

/* Every build under each node that it uses. */
static enum err index_users(struct settling *settling, struct why *why)
{
    struct trail *trail = settling->trail;
    settling->starts = calloc((size_t)trail->nodes.n + 2, sizeof *settling->starts);
    settling->users = calloc((size_t)trail->inputs.n + 1, sizeof *settling->users);
    if (settling->starts == NULL || settling->users == NULL)
        return out_of_memory(why);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t b = 0; b < trail->builds.n; b++) {
            struct trail_build *build = build_at(trail, b);
            build->state = BUILD_OPEN;
            build->pending = build->inputs_n;
            for (uint32_t i = build->input; build->followed && i < build->input + build->inputs_n; i++) {
                uint32_t node = input_at(trail, i)->node;
                if (node == NONE)
                    continue;
                if (pass == 0)
                    settling->starts[node + 2]++;
                else
                    settling->users[settling->starts[node + 1]++] = b;
            }
        }
        for (uint32_t n = 2; pass == 0 && n < trail->nodes.n + 2; n++)
            settling->starts[n] += settling->starts[n - 1];
    }
    return OK;
}

struct ranked {
    struct span path;
    uint32_t place;
};

static int by_path(const void *a, const void *b)
{
    return span_cmp(((const struct ranked *)a)->path, ((const struct ranked *)b)->path);
}

static enum err rank_places(struct settling *settling, uint32_t **by_rank, struct why *why)
{
    struct trail *trail = settling->trail;
    size_t n = trail->places.n;
    struct ranked *ranked = calloc(n + 1, sizeof *ranked);
    *by_rank = calloc(n + 1, sizeof **by_rank);
    settling->rank = calloc(n + 1, sizeof *settling->rank);
    settling->stamp = calloc(n + 1, sizeof *settling->stamp);
    settling->chosen = calloc(n + 1, sizeof *settling->chosen);
    settling->waiting = malloc((n + 1) * sizeof *settling->waiting);
    bool had = ranked != NULL && *by_rank != NULL && settling->rank != NULL && settling->stamp != NULL &&
               settling->chosen != NULL && settling->waiting != NULL;
    for (uint32_t i = 0; had && i < n; i++) {
        ranked[i] = (struct ranked){ place_at(trail, i)->path.path, i };
        settling->waiting[i] = NONE;
    }
    if (had)
        qsort(ranked, n, sizeof *ranked, by_path);
    for (uint32_t i = 0; had && i < n; i++) {
        (*by_rank)[i] = ranked[i].place;
        settling->rank[ranked[i].place] = i;
    }
    free(ranked);
    return had ? OK : out_of_memory(why);
}

/* Builds that can be concluded because this node is complete. */
static enum err spread(struct settling *settling, uint32_t number, const uint32_t *by_rank, struct why *why)
{
    struct trail *trail = settling->trail;
    uint32_t place = node_at(trail, number)->place, waiter = settling->waiting[place];
    enum err err = OK;
    for (uint32_t u = settling->starts[number]; u < settling->starts[number + 1] && err == OK; u++)
        if (--build_at(trail, settling->users[u])->pending == 0)
            err = conclude_build(settling, settling->users[u], by_rank, why);
    settling->waiting[place] = NONE;
    while (waiter != NONE && err == OK) {
        struct waiter one = ((struct waiter *)settling->waiters.items)[waiter];
        err = conclude_build(settling, one.build, by_rank, why);
        waiter = one.next;
    }
    return err;
}

static enum err run(struct settling *settling, const uint32_t *by_rank, struct why *why)
{
    struct trail *trail = settling->trail;
    enum err err = OK;
    for (uint32_t n = 0; n < trail->nodes.n && err == OK; n++)
        err = start_node(settling, n, why);
    for (uint32_t b = 0; b < trail->builds.n && err == OK; b++) {
        const struct trail_build *build = build_at(trail, b);
        if (build->followed && build->inputs_n == 0 && !build->list_wanted && !build->list_missing)
            err = conclude_build(settling, b, by_rank, why);
    }
    for (uint32_t at = 0, before = 0; err == OK; before = at) {
        while (at < settling->queue.n && err == OK)
            err = spread(settling, number_at(&settling->queue, at++), by_rank, why);
        if (at == before)
            break;
        /* A digest that did not come out may do so now: a path of the closure has become complete in another version. */
        struct table again = settling->mismatched;
        settling->mismatched = (struct table){ 0 };
        for (uint32_t i = 0; i < again.n && err == OK; i++)
            err = conclude_build(settling, number_at(&again, i), by_rank, why);
        free(again.items);
    }
    return err;
}

enum err trail_settle(struct trail *trail, struct why *why)
{
    struct settling settling = { .trail = trail };
    uint32_t *by_rank = NULL;
    enum err err = index_users(&settling, why);
    if (err == OK)
        err = rank_places(&settling, &by_rank, why);
    if (err == OK)
        err = run(&settling, by_rank, why);
    void *owned[] = { settling.queue.items,      settling.users,   settling.starts,
                      settling.waiters.items,    settling.waiting, settling.rank,
                      settling.mismatched.items, settling.stamp,   settling.chosen,
                      settling.members.items,    by_rank };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    return err;
}
