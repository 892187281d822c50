#include "lib/trust_check.h"

#include <stdio.h>

#include "lib/config.h"

struct checking {
    const struct trust *trust;
    const struct policy *policy;
    const struct trust_findings *findings;
    struct why *why;
};

static STELE_PRINTF(3, 4) enum err find(const struct checking *checking, bool mistake, const char *fmt, ...)
{
    struct why text;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text.text, sizeof text.text, fmt, args);
    va_end(args);
    return checking->findings->take(checking->findings->ctx, mistake, text.text, checking->why);
}

/* `narrow`'s own star is a character here that only a star matches. */
bool glob_covers(struct span wide, struct span narrow)
{
    bool rows[2][STORE_NAME_BYTES_MAX + 2];
    if (narrow.len > STORE_NAME_BYTES_MAX || wide.len > STORE_NAME_BYTES_MAX)
        return span_eq(wide, narrow);
    /* rows[w & 1][n]: do the last w bytes of `wide` cover the last n of `narrow`? */
    memset(rows, 0, sizeof rows);
    rows[0][0] = true;
    for (size_t w = 1; w <= wide.len; w++) {
        uint8_t c = wide.data[wide.len - w];
        bool *now = rows[w & 1], *before = rows[~w & 1];
        now[0] = c == '*' && before[0];
        for (size_t n = 1; n <= narrow.len; n++) {
            uint8_t d = narrow.data[narrow.len - n];
            now[n] = c == '*' ? before[n] || now[n - 1] : d != '*' && (c == '?' || c == d) && before[n - 1];
        }
    }
    return rows[wide.len & 1][narrow.len];
}

static struct span party_name(const struct trust *trust, uint32_t party)
{
    return trust->parties[party].name;
}

/* Can nothing that it logged, or will log, count? A cache has no index that could. */
static bool never_counts(const struct trust *trust, uint32_t party)
{
    bool any = false, some = false;
    for (size_t i = 0; i < trust->revocations_n; i++) {
        const struct trust_revocation *one = &trust->revocations[i];
        if (one->party != party)
            continue;
        any = true;
        some |= !one->all && one->from_index > 0 && !trust->parties[party].cache;
    }
    return any && !some;
}

/* May a name of a store path begin to match? Where not, why; NULL otherwise. */
static const char *glob_is_odd(struct span glob)
{
    static const char others[] = "+-._?=*";
    if (glob.len > HASH_PART_LEN && glob.data[HASH_PART_LEN] == '-' && nix32_alphabet(span_cut(glob, 0, HASH_PART_LEN)))
        return "it starts with a hash part, and globs of a `quorum` match the name after it";
    for (size_t i = 0; i < glob.len; i++) {
        uint8_t c = glob.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(others, c, sizeof others - 1) == NULL)
            return "no store path's name has such a character";
    }
    return NULL;
}

/* The last quorum line below line `from` that takes all that `glob` matches; 0 where there is none. */
static unsigned shadowed_by(const struct trust *trust, size_t from, struct span glob)
{
    unsigned line = 0;
    for (size_t i = from + 1; i < trust->quorums_n; i++) {
        struct span globs = trust->quorums[i].globs, later;
        while (span_word(&globs, &later))
            if (glob_covers(later, glob))
                line = trust->quorums[i].line;
    }
    return line;
}

static enum err check_globs(const struct checking *checking)
{
    const struct trust *trust = checking->trust;
    enum err err = OK;
    bool star = false;
    for (size_t i = 0; i < trust->quorums_n && err == OK; i++) {
        struct span globs = trust->quorums[i].globs, glob;
        while (err == OK && span_word(&globs, &glob)) {
            const char *odd = glob_is_odd(glob);
            unsigned later = shadowed_by(trust, i, glob);
            star |= glob_covers(glob, span_str("*"));
            if (odd != NULL)
                err = find(checking, true, "line %u: the glob %.*s is never reached: %s", trust->quorums[i].line, SPAN_FMT(glob),
                           odd);
            else if (later != 0)
                err = find(checking, true,
                           "line %u: the glob %.*s is never reached: line %u, which stands later, takes all that it matches",
                           trust->quorums[i].line, SPAN_FMT(glob), later);
        }
    }
    if (err == OK && star)
        err = find(checking, true, "the default quorum is never reached: a glob takes every name");
    return err;
}

static enum err check_exemptions(const struct checking *checking)
{
    const struct trust *trust = checking->trust;
    enum err err = OK;
    for (size_t e = 0; e < trust->exempt_n && err == OK; e++) {
        struct span exempt = trust->exempt[e];
        if (glob_covers(exempt, span_str("*")))
            err = find(checking, true, "`exempt %.*s` lets every path through without an attestation", SPAN_FMT(exempt));
        for (size_t i = 0; i < trust->quorums_n && err == OK && !glob_covers(exempt, span_str("*")); i++) {
            struct span globs = trust->quorums[i].globs, glob;
            while (err == OK && span_word(&globs, &glob))
                if (glob_covers(exempt, glob))
                    err =
                        find(checking, true, "line %u demands attestations of %.*s, and `exempt %.*s` lets it through without any",
                             trust->quorums[i].line, SPAN_FMT(glob), SPAN_FMT(exempt));
        }
    }
    return err;
}

/* Can each quorum be met, and by whom alone? */
static enum err check_quorums(const struct checking *checking)
{
    const struct trust *trust = checking->trust;
    enum err err = OK;
    for (size_t i = 0; i < trust->quorums_n && err == OK; i++) {
        const struct trust_quorum *line = &trust->quorums[i];
        struct span name = trust->quorum.nodes[line->node].name;
        bool alive[TRUST_BUILDERS_MAX] = { false }, caches[TRUST_BUILDERS_MAX] = { false }, met = false, vouched = false;
        for (uint32_t p = 0; p < trust->parties_n; p++) {
            alive[p] = !never_counts(trust, p);
            caches[p] = alive[p] && trust->parties[p].cache;
        }
        err = quorum_satisfied(&trust->quorum, line->node, alive, &met, NULL, checking->why);
        if (err == OK)
            err = quorum_satisfied(&trust->quorum, line->node, caches, &vouched, NULL, checking->why);
        if (err == OK && !met)
            err = find(checking, true, "line %u: the quorum `%.*s` cannot be met: too many of its members are revoked for good",
                       line->line, SPAN_FMT(name));
        else if (err == OK && vouched && line->globs.len > 0)
            err = find(checking, false,
                       "line %u: caches alone can meet `%.*s`: such paths are vouched for, and who built them is not known",
                       line->line, SPAN_FMT(name));
    }
    return err;
}

static bool reached(const struct trust *trust, uint32_t party)
{
    for (size_t i = 0; i < trust->quorums_n; i++)
        if (quorum_reaches(&trust->quorum, trust->quorums[i].node, party))
            return true;
    return false;
}

static enum err check_names(const struct checking *checking)
{
    const struct trust *trust = checking->trust;
    enum err err = OK;
    for (uint32_t p = 0; p < trust->parties_n && err == OK; p++) {
        struct span name = party_name(trust, p);
        if (reached(trust, p) || never_counts(trust, p))
            continue;
        if (!trust->parties[p].cache)
            err = find(checking, true, "the builder %.*s is named, but no quorum asks it: nothing that it attests counts",
                       SPAN_FMT(name));
        else if (trust->exempt_n == 0)
            err = find(checking, false, "the cache %.*s stands in no quorum: its signature counts under `mode warn` alone",
                       SPAN_FMT(name));
    }
    for (uint32_t i = 0; i < trust->quorum.n && err == OK; i++) {
        const struct quorum_node *node = &trust->quorum.nodes[i];
        bool used = node->is_member;
        for (size_t q = 0; q < trust->quorums_n && !used; q++)
            used = trust->quorums[q].node == i;
        if (node->group && !used)
            err = find(checking, true, "the group %.*s is used by no quorum", SPAN_FMT(node->name));
    }
    return err;
}

static enum err check_origin(const struct checking *checking, const char *what, struct span name, struct span origin)
{
    const struct policy *policy = checking->policy;
    for (size_t i = 0; policy != NULL && i < policy->logs_n; i++)
        if (span_eq(policy->logs[i].key.name, origin))
            return OK;
    if (policy == NULL)
        return OK;
    return find(checking, true, "%s %.*s: the policy names no log %.*s, so that the line has no effect", what, SPAN_FMT(name),
                SPAN_FMT(origin));
}

static enum err check_indices(const struct checking *checking)
{
    const struct trust *trust = checking->trust;
    enum err err = OK;
    for (size_t i = 0; i < trust->revocations_n && err == OK; i++) {
        const struct trust_revocation *one = &trust->revocations[i];
        if (!one->all)
            err = check_origin(checking, "revoke", party_name(trust, one->party), one->origin);
        if (err == OK && !one->all && trust->parties[one->party].cache)
            err = find(checking, true, "revoke %.*s: a cache logs nothing, so that an index revokes all of it",
                       SPAN_FMT(party_name(trust, one->party)));
    }
    if (err == OK && trust->backfill_bounded)
        err = check_origin(checking, "backfill accept", span_str("before"), trust->backfill_origin);
    if (err == OK && trust->backfill_accept && !trust->backfill_bounded)
        err = find(checking, false,
                   "`backfill accept` without `before`: builders may attest for ever what they did not watch being built");
    return err;
}

enum err trust_check(const struct trust *trust, const struct policy *policy, const struct trust_findings *findings, struct why *why)
{
    struct checking checking = { trust, policy, findings, why };
    enum err err = check_quorums(&checking);
    if (err == OK)
        err = check_globs(&checking);
    if (err == OK)
        err = check_exemptions(&checking);
    if (err == OK)
        err = check_names(&checking);
    if (err == OK)
        err = check_indices(&checking);
    return err;
}

static void put_set(struct buf *out, const struct policy *policy, const bool *in)
{
    const char *join = "";
    for (size_t i = 0; i < policy->witnesses_n; i++)
        if (in[i]) {
            buf_fmt(out, "%s%.*s", join, SPAN_FMT(policy->witnesses[i].name));
            join = ", ";
        }
}

static enum err check_disjoint(const struct checking *checking)
{
    const struct policy *policy = checking->policy;
    bool one[POLICY_WITNESSES_MAX] = { false }, other[POLICY_WITNESSES_MAX] = { false }, found;
    enum err err = quorum_disjoint(&policy->quorum, (uint32_t)policy->root, one, other, &found, checking->why);
    if (err != OK || !found)
        return err;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    put_set(&first, policy, one);
    put_set(&second, policy, other);
    err =
        find(checking, true,
             "two sets of witnesses without a common one satisfy the policy (%.*s; and %.*s): a log can show each of them another "
             "history, and no witness of either lies",
             SPAN_FMT(first), SPAN_FMT(second));
    buf_free(&first);
    buf_free(&second);
    return err;
}

enum err policy_check_sense(const struct policy *policy, const struct trust_findings *findings, struct why *why)
{
    struct checking checking = { NULL, policy, findings, why };
    enum err err = OK;
    if (policy->logs_n == 0)
        err = find(&checking, true, "the policy names no log: no attestation can ever be proven");
    if (err == OK && policy->root < 0)
        err = find(&checking, true,
                   "the policy says `quorum none`: a log can show everybody another history, and no witness is asked");
    else if (err == OK)
        err = check_disjoint(&checking);
    for (uint32_t i = 0; i < policy->witnesses_n && err == OK && policy->root >= 0; i++)
        if (!quorum_reaches(&policy->quorum, (uint32_t)policy->root, i))
            err = find(&checking, false, "the witness %.*s is named, but the quorum does not ask it",
                       SPAN_FMT(policy->witnesses[i].name));
    return err;
}
