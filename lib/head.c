#include "lib/head.h"

enum head_verdict head_follows(const struct head *last, uint64_t old, const struct head *next, const struct hash *proof, size_t n,
                               uint64_t growth_max, struct why *why)
{
    struct hash empty = merkle_empty_root();
    if (old > next->size) {
        fail(why, ERR_REFUSED, "the old size %llu exceeds the checkpoint's %llu", (unsigned long long)old,
             (unsigned long long)next->size);
        return HEAD_OLD_ABOVE;
    }
    if (old != last->size) {
        fail(why, ERR_REFUSED, "the old size %llu is not the last head's, %llu", (unsigned long long)old,
             (unsigned long long)last->size);
        return HEAD_OLD_DIFFERS;
    }
    if (next->size == 0 && !hash_eq(&next->root, &empty)) {
        fail(why, ERR_REFUSED, "size 0 with another root than the empty tree's");
        return HEAD_EMPTY_ROOT;
    }
    if (next->size == last->size && !hash_eq(&next->root, &last->root)) {
        fail(why, ERR_REFUSED, "another root for %llu entries than the last head's: a fork", (unsigned long long)next->size);
        return HEAD_ROOT_DIFFERS;
    }
    if (merkle_consistency_verify(last->size, &last->root, next->size, &next->root, proof, n, why) != OK)
        return HEAD_PROOF_BAD;
    if (growth_max != 0 && next->size - last->size > growth_max) {
        fail(why, ERR_REFUSED, "grows by %llu entries at once, more than %llu", (unsigned long long)(next->size - last->size),
             (unsigned long long)growth_max);
        return HEAD_TOO_FAR;
    }
    return HEAD_OK;
}
