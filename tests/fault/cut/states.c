#include "tests/fault/cut/states.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REVIVAL_CUTS = 12 };

static const char *const plan_names[] = {
    "nothing", "everything",      "names alone",   "files alone",          "one object alone",     "all but one object", "a prefix",
    "some",    "torn by sectors", "torn by pages", "all but the unsynced", "some of the unsynced", "the unsynced torn"
};

enum err states_prepare(struct states *states, size_t n, struct why *why)
{
    size_t ops = states->disk.ops_n;
    states->since = calloc(ops, sizeof *states->since);
    states->since_with_all = calloc(ops, sizeof *states->since_with_all);
    states->lost = calloc(ops, sizeof *states->lost);
    states->shares = calloc(ops, sizeof *states->shares);
    states->known = calloc(n + 1, sizeof *states->known);
    if (states->since == NULL || states->since_with_all == NULL || states->lost == NULL || states->shares == NULL ||
        states->known == NULL)
        return fail(why, ERR_ENV, "out of memory");
    disk_lasting(&states->disk, states->without, states->since);
    disk_lasting(&states->disk, NULL, states->since_with_all);
    /* From the last to the first: what was lost late was relied upon by more. */
    for (size_t i = ops; i-- > 0;)
        if (states->since_with_all[i] < states->since[i])
            states->lost[states->lost_n++] = i;
    return OK;
}

static bool is_name(const struct disk_op *op)
{
    return op->kind == TRACE_CREATE || op->kind == TRACE_RENAME || op->kind == TRACE_UNLINK;
}

static uint8_t coin(const struct state *state, const struct disk_op *op, enum disk_share torn)
{
    uint64_t toss = disk_mix(state->seed ^ disk_mix(op->begin)) % 4;
    if (torn == DISK_WHOLE || is_name(op))
        return (uint8_t)(toss < 2 ? DISK_WHOLE : DISK_NOTHING);
    return (uint8_t)(toss == 0 ? DISK_WHOLE : toss == 1 ? DISK_NOTHING : torn);
}

/* What is there of an operation that need not be. */
static uint8_t share_of(const struct states *states, const struct state *state, const struct disk_op *op, size_t object,
                        uint64_t prefix)
{
    bool lost = states->since_with_all[op - states->disk.ops] <= state->cut;
    switch (state->plan) {
    case NOTHING: return DISK_NOTHING;
    case EVERYTHING: return DISK_WHOLE;
    case NAMES: return is_name(op) ? DISK_WHOLE : DISK_NOTHING;
    case FILES: return is_name(op) ? DISK_NOTHING : DISK_WHOLE;
    case ONE_OBJECT: return op->object == object ? DISK_WHOLE : DISK_NOTHING;
    case ALL_BUT_ONE_OBJECT: return op->object == object ? DISK_NOTHING : DISK_WHOLE;
    case PREFIX: return op->begin < prefix ? DISK_WHOLE : DISK_NOTHING;
    case SOME: return coin(state, op, DISK_WHOLE);
    case TORN_SECTORS: return coin(state, op, DISK_TORN_SECTORS);
    case TORN_PAGES: return coin(state, op, DISK_TORN_PAGES);
    case LOST: return lost ? DISK_NOTHING : DISK_WHOLE;
    case LOST_SOME: return lost ? coin(state, op, DISK_WHOLE) : DISK_WHOLE;
    case LOST_TORN: return lost ? coin(state, op, DISK_TORN_SECTORS) : DISK_WHOLE;
    }
    return DISK_NOTHING;
}

bool states_choose(struct states *states, const struct state *state)
{
    const struct disk *disk = &states->disk;
    size_t pending = 0, lost = 0, n = 0;
    uint64_t hash = state->plan >= TORN_SECTORS && state->plan != LOST ? state->seed : 0;
    const struct disk_op *picked = NULL;
    for (size_t i = 0; i < disk->ops_n && disk->ops[i].begin < state->cut; i++) {
        pending += states->since[i] > state->cut;
        lost += states->since[i] > state->cut && states->since_with_all[i] <= state->cut;
    }
    if (pending == 0 && state->plan != NOTHING)
        return false;
    if (states->without != NULL && lost == 0)
        return false;
    size_t pick = pending == 0 ? 0 : (size_t)(disk_mix(state->seed) % pending);
    for (size_t i = 0; i < disk->ops_n && disk->ops[i].begin < state->cut; i++)
        if (states->since[i] > state->cut && n++ == pick)
            picked = &disk->ops[i];
    memset(states->shares, DISK_NOTHING, disk->ops_n);
    for (size_t i = 0; i < disk->ops_n && disk->ops[i].begin < state->cut; i++) {
        states->shares[i] = states->since[i] <= state->cut ? (uint8_t)DISK_WHOLE
                                                           : share_of(states, state, &disk->ops[i], picked->object, picked->begin);
        hash = disk_mix(hash ^ (states->shares[i] + 4 * i));
    }
    for (size_t i = 0; i < states->words.proofs_n && states->words.proofs[i].at < state->cut; i++)
        hash++;
    for (size_t i = 0; i < states->known_n; i++)
        if (states->known[i] == hash)
            return false;
    states->known[states->known_n++] = hash;
    return true;
}

/* The index of the first cut at or after a position. */
static size_t cut_after(const struct disk *disk, uint64_t at)
{
    size_t n = 0;
    while (n + 1 < disk->cuts_n && disk->cuts[n].at < at)
        n++;
    return n;
}

void states_print(const struct states *states, const struct state *state)
{
    size_t n = cut_after(&states->disk, state->cut);
    printf("# cut %zu of %zu, position %" PRIu64 ", seed %" PRIu64 ": of what was not synced, %s\n", n, states->disk.cuts_n,
           state->cut, state->seed, plan_names[state->plan]);
}

/* A cut at some sync, each site's with the same chance, or at the end of the trace. */
static size_t pick_cut(const struct disk *disk, uint64_t random)
{
    int site = (int)(random % (disk->sites_n + 1)) - 1; /* -1: DISK_NO_SITE */
    size_t n = 0;
    for (size_t i = 0; i < disk->cuts_n; i++)
        n += disk->cuts[i].site == site;
    size_t nth = n == 0 ? 0 : (size_t)(random / 4096 % n);
    for (size_t i = 0; i < disk->cuts_n; i++)
        if (disk->cuts[i].site == site && nth-- == 0)
            return i;
    return disk->cuts_n - 1;
}

/* With sites taken out: the last cut before an operation lasts all the same, when most has been said on the strength of it. */
static void pick_lost(const struct states *states, size_t i, struct state *out)
{
    static const enum plan plans[] = { LOST, NOTHING, LOST_SOME, LOST_TORN, SOME, TORN_SECTORS };
    const struct disk *disk = &states->disk;
    size_t op = states->lost[i % states->lost_n], n = cut_after(disk, states->since[op]);
    out->plan = plans[i / states->lost_n % (sizeof plans / sizeof *plans)];
    out->cut = disk->cuts[n > 0 && disk->cuts[n].at >= states->since[op] ? n - 1 : n].at;
}

/* The next state to try. With all syncs first what is lost soon after a program went on from what one that had died left in the
 * system's memory alone, then any. */
struct state states_pick(const struct states *states, uint64_t seed, size_t i)
{
    const struct disk *disk = &states->disk;
    struct state out = { .seed = disk_mix(seed + i * UINT64_C(0x9e3779b97f4a7c15)) };
    size_t cut = pick_cut(disk, disk_mix(out.seed));
    if (states->without != NULL) {
        pick_lost(states, i, &out);
        return out;
    }
    out.plan = (enum plan)(out.seed % PLANS_N);
    if (i < disk->revivals_n * REVIVAL_CUTS) {
        out.plan = NOTHING;
        cut = cut_after(disk, disk->revivals[i / REVIVAL_CUTS]) + i % REVIVAL_CUTS;
        cut = cut < disk->cuts_n ? cut : disk->cuts_n - 1;
    }
    out.cut = disk->cuts[cut].at;
    return out;
}
