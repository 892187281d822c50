/* What is known of the paths of a batch: proofs of the own store or beside the cache, and the logs' answers, in bulk. */
#include "client/audit.h"

#include <stdlib.h>

#include "client/look_up.h"
#include "client/prove.h"
#include "client/troubles.h"

struct taking {
    struct audit *audit;
    struct audit_batch *batch;
    struct prover *prover;
    const struct policy_log *log; /* that is asked */
};

static const char own_store[] = "own store";

static uint32_t *slot_of(const struct audit_batch *batch, struct span path)
{
    struct hash hash = sha256_of(path);
    size_t at = get_be32(hash.b) & (batch->slots_n - 1);
    while (batch->slots[at] != 0 && !span_eq(span_str(batch->items[batch->slots[at] - 1].info.path), path))
        at = (at + 1) & (batch->slots_n - 1);
    return &batch->slots[at];
}

enum err audit_index(struct audit_batch *batch, struct why *why)
{
    for (batch->slots_n = 1024; batch->slots_n < 2 * batch->n;)
        batch->slots_n *= 2;
    free(batch->slots);
    batch->slots = calloc(batch->slots_n, sizeof *batch->slots);
    if (batch->slots == NULL)
        return fail(why, ERR_ENV, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        uint32_t *slot = slot_of(batch, span_str(batch->items[i].info.path));
        if (*slot != 0) {
            nixdb_info_free(&batch->items[i].info);
            continue;
        }
        batch->items[n++] = batch->items[i];
        *slot = (uint32_t)n;
    }
    batch->n = n;
    return OK;
}

struct audit_item *audit_find(const struct audit_batch *batch, struct span path)
{
    uint32_t slot = *slot_of(batch, path);
    return slot == 0 ? NULL : &batch->items[slot - 1];
}

static bool has_fact(const struct audit_item *item, struct span origin, uint64_t index)
{
    const struct audit_fact *fact = item->facts;
    while (fact != NULL && !(fact->evidence.index == index && span_eq(fact->evidence.origin, origin)))
        fact = fact->next;
    return fact != NULL;
}

static enum err add_fact(struct taking *taking, struct audit_item *item, const struct evidence_item *evidence,
                         const struct subject *subject, struct why *why)
{
    struct arena *arena = &taking->batch->arena;
    const struct statement *statement = &evidence->statement;
    struct audit_fact *fact = arena_room(arena, sizeof *fact);
    struct vkey *key = arena_room(arena, sizeof *key);
    struct subject *copy = arena_room(arena, sizeof *copy);
    if (has_fact(item, span_str(evidence->origin), evidence->index))
        return OK;
    if (fact == NULL || key == NULL || copy == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *key = evidence->key;
    key->name = arena_dup(arena, evidence->key.name);
    *copy = (struct subject){ .path = span_str(item->info.path),
                              .nar_hash = subject->nar_hash,
                              .nar_size = subject->nar_size,
                              .references_digest = subject->references_digest };
    fact->evidence = (struct trust_evidence){
        .key = key,
        .statement = &taking->audit->statements[statement->foreign           ? 7
                                                : statement->inputs_recorded ? statement->claim
                                                                             : 3 + statement->claim],
        .subject = copy,
        .origin = arena_dup(arena, span_str(evidence->origin)),
        .index = evidence->index,
    };
    fact->kept = taking->audit->cache == NULL && strcmp(evidence->source, own_store) == 0;
    /* No stranger's: an open log has as much of those as anybody likes. */
    const struct trust *trust = &taking->audit->local.trust;
    if (trust->inputs_attested && trust_builder(trust, &evidence->key) >= 0)
        fact->proof = arena_dup(arena, span_of(evidence->proof_text, evidence->proof_len));
    if (key->name.data == NULL || fact->evidence.origin.data == NULL || (fact->proof.len > 0 && fact->proof.data == NULL))
        return fail(why, ERR_ENV, "out of memory");
    fact->next = item->facts;
    item->facts = fact;
    return OK;
}

static enum err take_item(void *ctx, const struct evidence_item *evidence, struct why *why)
{
    struct taking *taking = ctx;
    enum err err = OK;
    for (size_t i = 0; evidence->proven && i < evidence->statement.subjects_n && err == OK; i++) {
        struct audit_item *item = audit_find(taking->batch, evidence->statement.subjects[i].path);
        if (item != NULL)
            err = add_fact(taking, item, evidence, &evidence->statement.subjects[i], why);
    }
    return err;
}

static enum err prove(struct taking *taking, const char *source, struct span bundles, struct why *why)
{
    enum err err = prover_put(taking->prover, span_of(NULL, 0), bundles, source, why);
    while (err == OK && prover_full(taking->prover))
        err = prover_take(taking->prover, true, why);
    return err;
}

static enum err take_answer(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    (void)hash_parts;
    return prove(ctx, "log", bundles, why);
}

static void take_missed(void *ctx, struct span hash_part, const struct why *why)
{
    struct taking *taking = ctx;
    troubles_note(&taking->audit->troubles, "log ", taking->log->key.name, why);
    for (size_t i = 0; i < taking->batch->n; i++)
        if (span_eq(taking->batch->items[i].path.path.path.hash_part, hash_part))
            taking->batch->items[i].missed = true;
}

/* Proofs at hand: each file by itself, so that one that is torn, or a cache's rubbish, takes no other's with it. */
static enum err near_proofs(struct taking *taking, struct why *why)
{
    struct audit *audit = taking->audit;
    struct buf own = BUF_EMPTY, sidecar = BUF_EMPTY;
    struct why trouble;
    enum err err = OK;
    for (size_t i = 0; i < taking->batch->n && err == OK; i++) {
        struct span part = taking->batch->items[i].path.path.path.hash_part;
        buf_clear(&own);
        buf_clear(&sidecar);
        if (proofs_own(&audit->local.config, part, &own, &trouble) != OK)
            troubles_note(&audit->troubles, own_store, span_str(""), &trouble);
        else
            err = prove(taking, own_store, span_buf(&own), why);
        if (err != OK || audit->cache == NULL)
            continue;
        if (proofs_sidecar(audit->local.client, audit->cache, part, &sidecar, &trouble) != OK)
            troubles_note(&audit->troubles, audit->cache, span_str(""), &trouble);
        else
            err = prove(taking, audit->cache, span_buf(&sidecar), why);
    }
    buf_free(&own);
    buf_free(&sidecar);
    return err;
}

static enum err ask_logs(struct taking *taking, bool *looked_up, struct why *why)
{
    struct audit *audit = taking->audit;
    struct local *local = &audit->local;
    struct proofs_taker taker = { take_answer, take_missed, taking };
    struct buf parts = BUF_EMPTY, builders = BUF_EMPTY;
    size_t answered = 0;
    for (size_t i = 0; i < taking->batch->n; i++) {
        buf_span(&parts, taking->batch->items[i].path.path.path.hash_part);
        buf_byte(&parts, '\n');
    }
    proofs_builders(&builders, &local->trust);
    enum err err = parts.failed || builders.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    const struct proofs_asked asked = { .hash_parts = span_buf(&parts), .builders = span_buf(&builders) };
    for (size_t i = 0; i < local->policy.logs_n && err == OK; i++) {
        struct why trouble;
        struct span url;
        if (!proofs_log_url(&local->config, &local->policy, i, &url))
            continue;
        taking->log = &local->policy.logs[i];
        if (look_up_many(local->client, &local->config, &local->policy, i, &asked, &taker, &trouble) == OK)
            answered++;
        else
            troubles_note(&audit->troubles, "log ", local->policy.logs[i].key.name, &trouble);
    }
    *looked_up = answered == local->policy.logs_n;
    buf_free(&parts);
    buf_free(&builders);
    return err;
}

static void drop_facts(struct audit_batch *batch, struct span origin)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct audit_fact **at = &batch->items[i].facts;
        while (*at != NULL)
            if (span_eq((*at)->evidence.origin, origin))
                *at = (*at)->next;
            else
                at = &(*at)->next;
    }
}

/* What came from a log before one of its heads told that it forked counts no more than what came after. Batches that were judged by
 * then were so with it. */
static void drop_forked(const struct taking *taking)
{
    struct audit *audit = taking->audit;
    const struct policy *policy = &audit->local.policy;
    for (size_t log = 0; log < policy->logs_n; log++) {
        if (!prover_forked(taking->prover, log))
            continue;
        drop_facts(taking->batch, policy->logs[log].key.name);
        if (!audit->forked[log] && audit->done > 0) {
            audit->forked_late = &policy->logs[log];
            audit->forked_after = audit->done;
        }
        audit->forked[log] = true;
    }
}

enum err audit_gather(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    struct taking taking = { .audit = audit, .batch = batch };
    struct prove prove = { .policy = &audit->local.policy,
                           .texts = audit->local.trust.inputs_attested,
                           .threads = prove_threads(),
                           .config = &audit->local.config,
                           .take = take_item,
                           .ctx = &taking };
    bool looked_up = false;
    enum err err = prover_new(&taking.prover, &prove, why);
    if (err == OK)
        err = near_proofs(&taking, why);
    if (err == OK && audit->local.look_up)
        err = ask_logs(&taking, &looked_up, why);
    while (err == OK && prover_busy(taking.prover))
        err = prover_take(taking.prover, true, why);
    if (err == OK)
        drop_forked(&taking);
    prover_free(taking.prover);
    for (size_t i = 0; i < batch->n; i++) {
        batch->items[i].path.path.looked_up = looked_up && !batch->items[i].missed;
        audit->not_asked += !batch->items[i].path.path.looked_up;
    }
    return err == OK ? buf_done(&audit->troubles, why) : err;
}
