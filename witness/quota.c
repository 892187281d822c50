#include "witness/quota.h"

#define DAY_MS 86400000.0

static void fill(struct bucket *bucket, double capacity, double per_ms, uint64_t now_ms)
{
    if (bucket->since_ms == 0)
        bucket->level = capacity;
    else if (now_ms > bucket->since_ms)
        bucket->level += (double)(now_ms - bucket->since_ms) * per_ms;
    if (bucket->level > capacity)
        bucket->level = capacity;
    bucket->since_ms = now_ms;
}

bool quota_allows(struct quota *quota, bool grows, uint64_t qpd, uint64_t now_ms, unsigned *wait_s)
{
    struct bucket *bucket = grows ? &quota->growth : &quota->other;
    double per_ms = (double)qpd / DAY_MS;
    fill(bucket, (double)qpd, per_ms, now_ms);
    if (bucket->level >= 1)
        return true;
    *wait_s = 1 + (unsigned)((1 - bucket->level) / per_ms / 1000);
    return false;
}

void quota_take(struct quota *quota, bool grew, uint64_t qpd, uint64_t now_ms)
{
    struct bucket *bucket = grew ? &quota->growth : &quota->other;
    fill(bucket, (double)qpd, (double)qpd / DAY_MS, now_ms);
    /* Requests that were under way together may overdraw it: bounded by what waits before the committer. */
    bucket->level -= 1;
}
