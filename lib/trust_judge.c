/* Applying a trust file: pure, from evidence that was verified before. */
#include <stdlib.h>

#include "lib/config.h"
#include "lib/trust.h"

const char *trust_reason_text(enum trust_reason reason)
{
    switch (reason) {
    case COUNTS: return "counts";
    case NOT_A_BUILDER: return "does not count: no builder of the trust file has this key";
    case NOT_IN_QUORUM: return "does not count: this builder is not asked for this path";
    case REVOKED: return "does not count: the builder is revoked";
    case FOREIGN: return "does not count: it is no complete " NIX_BUILD_TYPE " statement";
    case BACKFILL_REFUSED: return "does not count: it is a backfill, and the trust file refuses those";
    case OTHER_BYTES: return "does not count: it attests other bytes";
    case OTHER_REFERENCES: return "does not count: it attests other references";
    case OTHER_PATH: return "does not count: it is about another path";
    case CONTRADICTS_ITSELF: return "does not count: the builder logged two results for this path";
    case INPUTS_UNATTESTED: return "does not count: what it was built from is not attested down to the ground";
    }
    return "?";
}

const char *trust_verdict_name(enum trust_verdict verdict)
{
    switch (verdict) {
    case TRUST_ATTESTED: return "attested";
    case TRUST_VOUCHED: return "vouched";
    case TRUST_FIXED: return "content-addressed";
    case TRUST_EXEMPT: return "exempt";
    case TRUST_REFUSED: return "refused";
    }
    return "?";
}

/* A party with revocations counts in an origin only below the bound that is named for it there. */
static bool revoked(const struct trust *trust, uint32_t party, struct span origin, uint64_t index)
{
    bool any = false;
    for (size_t i = 0; i < trust->revocations_n; i++) {
        const struct trust_revocation *one = &trust->revocations[i];
        if (one->party != party)
            continue;
        any = true;
        if (!one->all && span_eq(one->origin, origin))
            return index >= one->from_index;
    }
    return any;
}

bool trust_cache_revoked(const struct trust *trust, uint32_t party)
{
    return revoked(trust, party, span_of(NULL, 0), 0);
}

bool trust_backfill_refused(const struct trust *trust, const struct trust_evidence *evidence)
{
    bool accepted = trust->backfill_accept && (!trust->backfill_bounded || (span_eq(evidence->origin, trust->backfill_origin) &&
                                                                            evidence->index < trust->backfill_before));
    return evidence->statement->claim == CLAIM_BACKFILL && !accepted;
}

/* Everything but what the path is: may this statement speak at all? */
static enum trust_reason standing(const struct trust *trust, const struct trust_path *path, const struct trust_quorum *quorum,
                                  const struct trust_evidence *evidence, int64_t party)
{
    if (party < 0)
        return NOT_A_BUILDER;
    if (evidence->statement->foreign)
        return FOREIGN;
    if (evidence->subject == NULL || !span_eq(evidence->subject->path, path->path.path))
        return OTHER_PATH;
    if (revoked(trust, (uint32_t)party, evidence->origin, evidence->index))
        return REVOKED;
    if (trust_backfill_refused(trust, evidence))
        return BACKFILL_REFUSED;
    if (!quorum_reaches(&trust->quorum, quorum->node, (uint32_t)party))
        return NOT_IN_QUORUM;
    return COUNTS;
}

static enum trust_reason sameness(const struct trust_path *path, const struct subject *subject)
{
    if (!hash_eq(&subject->nar_hash, &path->nar_hash) || subject->nar_size != path->nar_size)
        return OTHER_BYTES;
    return hash_eq(&subject->references_digest, &path->references_digest) ? COUNTS : OTHER_REFERENCES;
}

/* What each party said of the path. */
struct votes {
    bool yes[TRUST_BUILDERS_MAX], no[TRUST_BUILDERS_MAX];
};

/* `inputs attested`: without somebody who follows the trail, it ends at once. */
static enum err follow(const struct trust_inputs *inputs, const struct trust_evidence *evidence, enum trust_reason *reason,
                       struct trust_result *out, struct why *why)
{
    struct why ends = { "the inputs were not followed" };
    bool attested = false;
    enum err err = OK;
    if (!evidence->statement->inputs_recorded)
        fail(&ends, ERR_REFUSED, "the builder did not record the inputs");
    else if (inputs != NULL)
        err = inputs->attested(inputs->ctx, evidence, &attested, &ends, why);
    if (err == OK && !attested) {
        *reason = INPUTS_UNATTESTED;
        if (out->trail.text[0] == '\0')
            out->trail = ends;
    }
    return err;
}

static enum err hear(const struct trust *trust, const struct trust_path *path, const struct trust_evidence *evidence, size_t n,
                     const struct trust_inputs *inputs, enum trust_reason *reasons, struct trust_result *out, struct votes *votes,
                     struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        int64_t party = trust_builder(trust, evidence[i].key);
        reasons[i] = standing(trust, path, out->quorum, &evidence[i], party);
        if (reasons[i] != COUNTS)
            continue;
        reasons[i] = sameness(path, evidence[i].subject);
        if (reasons[i] != COUNTS)
            votes->no[party] = true;
        else if (trust->inputs_attested)
            err = follow(inputs, &evidence[i], &reasons[i], out, why);
        if (reasons[i] == COUNTS)
            votes->yes[party] = true;
    }
    /* Under `divergence refuse` a builder that logged two results speaks for none. */
    for (size_t i = 0; i < n && err == OK && trust->divergence_refuse; i++) {
        int64_t party = trust_builder(trust, evidence[i].key);
        if (reasons[i] == COUNTS && votes->no[party])
            reasons[i] = CONTRADICTS_ITSELF;
    }
    return err;
}

/* The first builder that attested something else, for the sentence that says why. */
static void explain_refusal(const struct trust *trust, const struct trust_evidence *evidence, const enum trust_reason *reasons,
                            size_t n, struct trust_result *out)
{
    static const enum trust_reason telling[] = { OTHER_BYTES,       OTHER_REFERENCES, CONTRADICTS_ITSELF,
                                                 INPUTS_UNATTESTED, REVOKED,          BACKFILL_REFUSED,
                                                 NOT_IN_QUORUM,     NOT_A_BUILDER,    FOREIGN };
    struct span name = trust->quorum.nodes[out->quorum->node].name;
    for (size_t t = 0; t < sizeof telling / sizeof *telling; t++)
        for (size_t i = 0; i < n; i++) {
            if (reasons[i] != telling[t])
                continue;
            const char *text = trust_reason_text(telling[t]);
            int64_t party = trust_builder(trust, evidence[i].key);
            struct span who = party >= 0 ? trust->parties[party].name : evidence[i].key->name;
            fail(&out->why, ERR_REFUSED, "not attested: the quorum `%.*s` is not met; the attestation by %.*s %s%s%s",
                 SPAN_FMT(name), SPAN_FMT(who), text, telling[t] == INPUTS_UNATTESTED ? ": " : "",
                 telling[t] == INPUTS_UNATTESTED ? out->trail.text : "");
            return;
        }
    fail(&out->why, ERR_REFUSED, "not attested: the quorum `%.*s` is not met, %s", SPAN_FMT(name),
         n == 0 ? "no attestation of this path was found" : "too few of its builders attested this path");
}

static bool exempt(const struct trust *trust, const struct storepath *path, struct span *glob)
{
    for (size_t i = 0; i < trust->exempt_n; i++)
        if (glob_match(trust->exempt[i], path->name) || glob_match(trust->exempt[i], path->base)) {
            *glob = trust->exempt[i];
            return true;
        }
    return false;
}

static void name_counted(const struct trust *trust, const struct trust_result *result, struct buf *out)
{
    for (size_t i = 0; i < trust->parties_n; i++)
        if (result->counted[i])
            buf_fmt(out, "%s%s %.*s", out->len > 0 ? ", " : "", trust->parties[i].cache ? "cache" : "builder",
                    SPAN_FMT(trust->parties[i].name));
}

static enum err ask_quorum(const struct trust *trust, const struct trust_path *path, const struct votes *votes,
                           struct trust_result *out, bool *passes, struct why *why)
{
    bool said[TRUST_BUILDERS_MAX] = { false };
    for (size_t i = 0; i < trust->parties_n; i++)
        said[i] = votes->yes[i] && !(trust->divergence_refuse && votes->no[i]);
    enum err err = quorum_satisfied(&trust->quorum, out->quorum->node, said, passes, NULL, why);
    out->verdict = TRUST_ATTESTED;
    if (err == OK && !*passes) {
        for (size_t i = 0; i < trust->parties_n; i++)
            if (trust->parties[i].cache && path->cache_signed != NULL && path->cache_signed[i] &&
                !trust_cache_revoked(trust, (uint32_t)i))
                said[i] = true;
        err = quorum_satisfied(&trust->quorum, out->quorum->node, said, passes, NULL, why);
        out->verdict = TRUST_VOUCHED;
    }
    for (size_t i = 0; i < trust->parties_n; i++)
        out->counted[i] = said[i] && quorum_reaches(&trust->quorum, out->quorum->node, (uint32_t)i);
    return err;
}

static enum err conclude(const struct trust *trust, const struct trust_path *path, const struct trust_evidence *evidence, size_t n,
                         const enum trust_reason *reasons, const struct votes *votes, struct trust_result *out, struct why *why)
{
    struct span glob;
    struct buf names = BUF_EMPTY;
    bool passes;
    enum err err = ask_quorum(trust, path, votes, out, &passes, why);
    if (err != OK)
        return err;
    for (size_t i = 0; i < trust->parties_n; i++)
        out->divergence |= votes->no[i];
    if (!passes || (trust->divergence_refuse && out->divergence)) {
        explain_refusal(trust, evidence, reasons, n, out);
    } else if (trust->divergence_refuse && !path->looked_up) {
        out->wants_look_up = true;
        fail(&out->why, ERR_REFUSED,
             "`divergence refuse` needs every log's word that no trusted builder attested other bytes, and not every log answered");
    } else {
        name_counted(trust, out, &names);
        fail(&out->why, OK,
             out->verdict == TRUST_ATTESTED ? "attested by %.*s%s" : "vouched for by %.*s: who built it is not known%s",
             SPAN_FMT(span_buf(&names)), out->divergence ? "; a trusted builder attested other bytes, too" : "");
        buf_free(&names);
        return OK;
    }
    if (exempt(trust, &path->path, &glob)) {
        out->verdict = TRUST_EXEMPT;
        fail(&out->why, OK, "exempt by `exempt %.*s`: nobody attested it", SPAN_FMT(glob));
    } else if (path->content_addressed && !trust->fixed_output_require) {
        out->verdict = TRUST_FIXED;
        fail(&out->why, OK, "content-addressed: its content is its name, whoever serves it");
    } else {
        out->verdict = TRUST_REFUSED;
    }
    return OK;
}

enum err trust_judge(const struct trust *trust, const struct trust_path *path, const struct trust_evidence *evidence, size_t n,
                     const struct trust_inputs *inputs, enum trust_reason *reasons, struct trust_result *out, struct why *why)
{
    *out = (struct trust_result){ .verdict = TRUST_REFUSED, .quorum = trust_quorum_for(trust, path->path.name) };
    struct votes votes = { 0 };
    enum trust_reason *own = reasons != NULL ? reasons : calloc(n + 1, sizeof *own);
    if (own == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = hear(trust, path, evidence, n, inputs, own, out, &votes, why);
    if (err == OK)
        err = conclude(trust, path, evidence, n, own, &votes, out, why);
    if (reasons == NULL)
        free(own);
    return err;
}
