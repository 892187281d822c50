/*
 * How much one log may ask in a day: token buckets. No log starves the others, whatever it sends.
 */
#ifndef STELE_WITNESS_QUOTA_H
#define STELE_WITNESS_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double level;      /* what may be asked at `since_ms` */
    uint64_t since_ms; /* monotonic; 0 before the first use: full */
};

/* A log's day (its list's `qpd`). Two of them, since nobody is authenticated: whoever has seen a head of the log can send it
 * again and again, but only the log makes a larger one, which must not wait for what others used up. */
struct quota {
    struct bucket growth; /* larger heads that were cosigned */
    struct bucket other;  /* everything else under the log's signature */
};

/* May the log send one more of that kind? If not, in how many seconds. Takes nothing. */
bool quota_allows(struct quota *quota, bool grows, uint64_t qpd, uint64_t now_ms, unsigned *wait_s);
/* What a request turned out to be. */
void quota_take(struct quota *quota, bool grew, uint64_t qpd, uint64_t now_ms);

#endif
