/* The trust file's word for each path of a batch, and what it is called. */
#include "client/audit.h"

#include <stdlib.h>

#include "client/local_trail.h"

static bool same_content(const struct audit_item *item, const struct subject *subject)
{
    return hash_eq(&subject->nar_hash, &item->info.nar_hash) && subject->nar_size == item->info.nar_size &&
           hash_eq(&subject->references_digest, &item->path.path.references_digest);
}

/* A trust file that asks for more, or no longer for this one, takes what rested on it: named like what a revocation takes. */
static void lose(struct audit_item *item, const struct trust_party *party)
{
    item->lost = true;
    fail(&item->why_lost, OK, "the %s by %.*s does not suffice: %s", party->cache ? "signature" : "attestation",
         SPAN_FMT(party->name), item->why.text);
}

/* The gate keeps the proofs of what it lets through: this one's builder stood in the trust file, and does not any more. */
static void lose_unnamed(struct audit_item *item, struct span key_name)
{
    item->lost = true;
    fail(&item->why_lost, OK, "the attestation by the key %.*s, whose proof is kept here, is no builder's of the trust file",
         SPAN_FMT(key_name));
}

/* A named builder's word that does not count (any more). */
static void lose_reason(struct audit_item *item, const struct trust_party *party, enum trust_reason reason)
{
    item->lost = true;
    fail(&item->why_lost, OK, "the attestation by %.*s %s", SPAN_FMT(party->name), trust_reason_text(reason));
}

/* Was this word for exactly these bytes, which does not count or does not suffice, ever support that was lost? That a revocation or
 * a stricter trust file took it can be known of what would count otherwise. A refused backfill, or the word of a key that is not
 * named, never counted, for all that is known, unless the gate let the path through by it and kept the proof; what is kept of this
 * machine's own builds is `stele deliver`'s. What was built here stands by that: a stricter trust file takes nothing from it. */
static bool was_support(const struct audit *audit, const struct audit_item *item, const struct audit_fact *fact,
                        enum trust_reason reason)
{
    bool let_through = fact->kept && !item->built;
    switch (reason) {
    case COUNTS:
    case NOT_IN_QUORUM:
    case CONTRADICTS_ITSELF:
    case INPUTS_UNATTESTED: return !item->built;
    case REVOKED: return let_through || !trust_backfill_refused(&audit->local.trust, &fact->evidence);
    case NOT_A_BUILDER:
    case BACKFILL_REFUSED: return let_through;
    case FOREIGN: /* under no trust file */
    case OTHER_BYTES:
    case OTHER_REFERENCES:
    case OTHER_PATH: break;
    }
    return false;
}

/* What the evidence says besides the verdict. A builder that does not count is named before one that does not suffice. Where a log
 * was silent nothing is lost that it may yet support. */
static void take_reasons(const struct audit *audit, struct audit_item *item, const enum trust_reason *reasons)
{
    bool refused = item->verdict == TRUST_REFUSED && !item->wants_look_up;
    size_t n = 0;
    for (const struct audit_fact *fact = item->facts; fact != NULL; fact = fact->next, n++) {
        const struct subject *subject = fact->evidence.subject;
        int64_t party = trust_builder(&audit->local.trust, fact->evidence.key);
        bool other = !hash_eq(&subject->nar_hash, &item->info.nar_hash);
        item->contested |= other;
        item->contradicted |= reasons[n] == OTHER_BYTES || reasons[n] == OTHER_REFERENCES;
        if (!refused || !same_content(item, subject) || !was_support(audit, item, fact, reasons[n]))
            continue;
        if (party < 0 && !item->lost)
            lose_unnamed(item, fact->evidence.key->name);
        else if (reasons[n] == COUNTS && !item->lost)
            lose(item, &audit->local.trust.parties[party]);
        else if (party >= 0 && reasons[n] != COUNTS)
            lose_reason(item, &audit->local.trust.parties[party], reasons[n]);
    }
    for (size_t i = 0; i < audit->local.trust.revocations_n && refused; i++) {
        const struct trust_party *party = &audit->local.trust.parties[audit->local.trust.revocations[i].party];
        if (!party->cache || !item->path.cache_signed[audit->local.trust.revocations[i].party])
            continue;
        item->lost = true;
        fail(&item->why_lost, OK, "the cache %.*s that signed it is revoked", SPAN_FMT(party->name));
    }
    for (size_t i = 0; i < audit->local.trust.parties_n; i++)
        if (refused && !item->lost && !item->built && item->path.cache_signed[i])
            lose(item, &audit->local.trust.parties[i]);
}

static enum audit_class classify(const struct audit_item *item)
{
    if (item->altered)
        return AUDIT_ALTERED;
    switch (item->verdict) {
    case TRUST_ATTESTED: return AUDIT_ATTESTED;
    case TRUST_VOUCHED: return AUDIT_VOUCHED;
    case TRUST_EXEMPT: return AUDIT_EXEMPT;
    case TRUST_FIXED: return AUDIT_ADDRESSED;
    case TRUST_REFUSED: break;
    }
    if (item->contradicted)
        return AUDIT_CONTRADICTED;
    if (item->path.path.content_addressed)
        return AUDIT_ADDRESSED;
    return item->built ? AUDIT_BUILT_HERE : AUDIT_UNEXPLAINED;
}

/* What the gate would say in `mode enforce`: an exempt path needs a cache's signature there. What was built here is not asked
 * for. */
static void hold_against_gate(const struct audit *audit, struct audit_item *item)
{
    bool cache_signed = false;
    for (size_t i = 0; i < audit->local.trust.parties_n; i++)
        cache_signed |= item->path.cache_signed[i] && !trust_cache_revoked(&audit->local.trust, (uint32_t)i);
    if (item->info.ultimate)
        return;
    if (item->path.false_address) {
        item->would_refuse = true;
        fail(&item->why_refuse, OK, "its content address is false");
    } else if (item->verdict == TRUST_REFUSED) {
        item->would_refuse = true;
        item->why_refuse = item->why;
    } else if (item->verdict == TRUST_EXEMPT && !cache_signed && !item->path.path.content_addressed) {
        item->would_refuse = true;
        fail(&item->why_refuse, OK, "exempt, but no `cache` line's key signed it");
    }
}

static enum err judge_one(struct audit *audit, struct audit_item *item, struct why *why)
{
    struct local_trail trail = {
        .local = &audit->local, .path = &item->path.path, .memory = audit->memory, .troubles = &audit->troubles
    };
    struct trust_inputs inputs = local_trail_inputs(&trail);
    struct trust_evidence *evidence = NULL;
    struct span *proofs = NULL;
    enum trust_reason *reasons = NULL;
    struct trust_result result;
    size_t n = 0;
    for (const struct audit_fact *fact = item->facts; fact != NULL; fact = fact->next)
        n++;
    evidence = calloc(n + 1, sizeof *evidence);
    reasons = calloc(n + 1, sizeof *reasons);
    proofs = calloc(n + 1, sizeof *proofs);
    trail.proofs = proofs;
    enum err err = evidence == NULL || reasons == NULL || proofs == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    n = 0;
    for (const struct audit_fact *fact = item->facts; fact != NULL && err == OK; fact = fact->next) {
        evidence[n++] = fact->evidence;
        proofs[trail.proofs_n++] = fact->proof;
    }
    if (err == OK)
        err = trust_judge(&audit->local.trust, &item->path.path, evidence, n, &inputs, reasons, &result, why);
    if (err == OK) {
        item->verdict = result.verdict;
        item->wants_look_up = result.wants_look_up && result.verdict == TRUST_REFUSED;
        item->why = result.why;
        take_reasons(audit, item, reasons);
        item->class = classify(item);
        audit_own_check(audit, item);
        hold_against_gate(audit, item);
    }
    local_trail_free(&trail);
    free(proofs);
    free(evidence);
    free(reasons);
    return err;
}

enum err audit_judge(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < batch->n && err == OK; i++)
        err = judge_one(audit, &batch->items[i], why);
    return err;
}
