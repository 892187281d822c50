/*
 * What is wrong with a trust file or a policy that parses: lines that can never have an effect, or have another one than they
 * seem to (spec/trust.md, "Mistakes"). Pure.
 */
#ifndef STELE_TRUST_CHECK_H
#define STELE_TRUST_CHECK_H

#include "lib/policy.h"
#include "lib/trust.h"

/* Takes a sentence: a mistake, or a note on what somebody may not have meant. */
struct trust_findings {
    enum err (*take)(void *ctx, bool mistake, const char *text, struct why *why);
    void *ctx;
};

/* `policy` may be NULL: then origins are not looked for in it. ERR_ENV, or from `findings`. */
enum err trust_check(const struct trust *trust, const struct policy *policy, const struct trust_findings *findings,
                     struct why *why);
enum err policy_check_sense(const struct policy *policy, const struct trust_findings *findings, struct why *why);

/* Does `wide` match every name that `narrow` matches? False where it cannot tell. */
bool glob_covers(struct span wide, struct span narrow);

#endif
