/* A policy: nobody satisfies more than everybody, and everybody satisfies what can be satisfied. */
#include <assert.h>
#include <stdlib.h>

#include "lib/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct policy policy;
    bool said[POLICY_WITNESSES_MAX] = { false }, all;
    if (policy_parse(&policy, input, "input", &why) != OK)
        return 0;
    for (size_t i = 0; i < policy.witnesses_n; i++)
        said[i] = true;
    if (policy.root >= 0) {
        assert(quorum_satisfied(&policy.quorum, (uint32_t)policy.root, said, &all, NULL, &why) == OK && all);
        memset(said, 0, sizeof said);
        assert(quorum_satisfied(&policy.quorum, (uint32_t)policy.root, said, &all, NULL, &why) == OK && !all);
        assert(quorum_reach_once(&policy.quorum, (uint32_t)policy.root, &why) == OK);
    }
    policy_free(&policy);
    return 0;
}
