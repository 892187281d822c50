/*
 * c2sp.org/tlog-policy: which logs, which witnesses, which quorum.
 *
 * Log keys are type 0x01 and witness keys type 0x04. `where` in errors is file and line.
 */
#ifndef STELE_POLICY_H
#define STELE_POLICY_H

#include "lib/checkpoint.h"
#include "lib/cosignature.h"
#include "lib/quorum.h"

struct policy_log {
    struct vkey key; /* its name is the origin */
    struct span url; /* without a final slash; empty where none is given */
    bool forked;     /* set by whoever knows that it signed two histories: nothing under it satisfies the policy */
};

struct policy_witness {
    struct span name; /* in the policy file alone */
    struct vkey key;
    struct span url;
};

struct policy {
    char *text; /* owned; everything else borrows from it */
    struct policy_log *logs;
    struct policy_witness *witnesses; /* witness i is leaf i of the quorum */
    size_t logs_n, witnesses_n;
    struct quorum quorum;
    int64_t root; /* the quorum's node, or -1 for `none` */
};

/* Parses a copy of `text`. `file` names it in errors. ERR_MALFORMED with file and line. */
enum err policy_parse(struct policy *out, struct span text, const char *file, struct why *why);
void policy_free(struct policy *policy);

/* What a checkpoint shows under a policy. Borrows from the note and the policy. */
struct policy_view {
    struct checkpoint checkpoint;
    size_t log; /* which log of the policy signed */
    bool cosigned[POLICY_WITNESSES_MAX];
    uint64_t time_s[POLICY_WITNESSES_MAX];
    size_t cosignatures;    /* how many of the policy's witnesses */
    uint64_t newest_time_s; /* of those; 0 where there is none */
};

/* Verifies `note` under the policy: signed by one of its logs whose name is the origin, every known witness's line
 * valid, and the quorum met. ERR_MALFORMED or ERR_REFUSED; for a quorum that is not met `why` names the witnesses that
 * cosigned and the rule. `view` is filled as far as verification came: whole where only the quorum is short, told by
 * *quorum_short (may be NULL). */
enum err policy_check(const struct policy *policy, struct span note, struct policy_view *view, bool *quorum_short, struct why *why);

#endif
