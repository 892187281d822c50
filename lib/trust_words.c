/* A trust file in words: for `stele why` and `stele trust`. */
#include <stdlib.h>

#include "lib/trust.h"

static void put_names(struct buf *out, const struct trust *trust, const struct quorum_node *group, const bool *satisfied,
                      bool wanted)
{
    const char *join = "";
    for (uint32_t m = 0; m < group->members; m++) {
        uint32_t member = trust->quorum.members[group->first_member + m];
        if (satisfied != NULL && satisfied[member] != wanted)
            continue;
        buf_fmt(out, "%s%.*s", join, SPAN_FMT(trust->quorum.nodes[member].name));
        join = ", ";
    }
}

void trust_put_group(struct buf *out, const struct trust *trust, uint32_t node)
{
    const struct quorum_node *group = &trust->quorum.nodes[node];
    if (!group->group) {
        buf_span(out, group->name);
        return;
    }
    if (group->members > 1 && group->threshold == group->members)
        buf_str(out, "all of ");
    else if (group->members > 1 && group->threshold == 1)
        buf_str(out, "any of ");
    else if (group->members > 1)
        buf_fmt(out, "%u of ", group->threshold);
    put_names(out, trust, group, NULL, true);
}

static void put_missing(struct buf *out, const struct trust *trust, uint32_t node, const bool *satisfied)
{
    const struct quorum_node *at = &trust->quorum.nodes[node];
    uint32_t said = 0;
    if (!at->group) {
        buf_fmt(out, "%s %.*s\n", trust->parties[at->leaf].cache ? "a signature by the cache" : "an attestation by the builder",
                SPAN_FMT(at->name));
        return;
    }
    for (uint32_t m = 0; m < at->members; m++)
        said += satisfied[trust->quorum.members[at->first_member + m]];
    buf_fmt(out, "%u more of ", at->threshold - said);
    put_names(out, trust, at, satisfied, false);
    buf_fmt(out, ": %.*s wants ", SPAN_FMT(at->name));
    trust_put_group(out, trust, node);
    if (said > 0) {
        buf_str(out, ", and has ");
        put_names(out, trust, at, satisfied, true);
    }
    buf_byte(out, '\n');
}

enum err trust_missing(struct buf *out, const struct trust *trust, const struct trust_result *result, struct why *why)
{
    const struct quorum *quorum = &trust->quorum;
    bool *satisfied = calloc(quorum->n, sizeof *satisfied), *wanted = calloc(quorum->n, sizeof *wanted), ignored;
    enum err err = satisfied == NULL || wanted == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = quorum_satisfied(quorum, result->quorum->node, result->counted, &ignored, satisfied, why);
    if (err == OK)
        wanted[result->quorum->node] = true;
    /* Members are defined before their groups: from the top down. A leaf is told by its group. */
    for (uint32_t i = result->quorum->node + 1; err == OK && i-- > 0;) {
        const struct quorum_node *at = &quorum->nodes[i];
        if (!wanted[i] || satisfied[i])
            continue;
        if (at->group || i == result->quorum->node)
            put_missing(out, trust, i, satisfied);
        for (uint32_t m = 0; at->group && m < at->members; m++)
            wanted[quorum->members[at->first_member + m]] = true;
    }
    free(satisfied);
    free(wanted);
    return err == OK ? buf_done(out, why) : err;
}
