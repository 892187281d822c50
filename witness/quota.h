/*
 * How much one log, and one address, may ask: token buckets. No log and no address starves the others, whatever it sends.
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

/* Addresses: requests a second each, with twice as many at once. Bounded memory: of addresses that share a place in the table,
 * those that asked least lately are forgotten. */
struct addresses;
/* `per_s` 0: no limit. NULL where memory is short. */
struct addresses *addresses_new(uint64_t per_s);
void addresses_free(struct addresses *addresses);
/* Takes `cost` requests from the address (IPv4, or the first 64 bits of IPv6; text that is neither counts as one address) and
 * says whether it had them. Safe from several threads. */
bool addresses_take(struct addresses *addresses, const char *address, double cost, uint64_t now_ms);
/* Is it this machine itself: 127.0.0.0/8, ::1? */
bool address_is_loopback(const char *address);

#endif
