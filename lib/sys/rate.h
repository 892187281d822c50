/*
 * A rate for each of many keys: so many units a second, with a burst, in memory that does not grow. Any thread.
 *
 * A key is allowed something as long as its debt is below the burst; what is taken then may go above it. So the rate holds in the
 * long run, and nobody need know beforehand how much a request will turn out to take. What is taken counts only when it is taken:
 * to ask costs a key nothing, whoever asks in its name.
 *
 * Beyond the bound on keys the one that is nearest to no debt is forgotten. Places are chosen by a secret, so that nobody can push
 * out a key of his choice.
 */
#ifndef STELE_SYS_RATE_H
#define STELE_SYS_RATE_H

#include "lib/bytes.h"

/* One key's rate, where the caller keeps its debt: that is paid off at *clear_us (0 to begin with). */
struct allowance {
    double us_per_unit;
    uint64_t burst_us;
};
/* So many units (from 1) in that time; all of them may be taken at once. */
struct allowance allowance_of(uint64_t units, uint64_t in_us);
/* 0 where more may be taken now, otherwise in how many milliseconds. */
uint64_t allowance_wait_ms(const struct allowance *allowance, uint64_t clear_us, uint64_t now_us);
void allowance_take(const struct allowance *allowance, uint64_t *clear_us, uint64_t units, uint64_t now_us);

/* Many keys' rate. */
struct rate;

/* `per_s` and `burst` from 1 to a billion. */
enum err rate_new(struct rate **out, uint64_t per_s, uint64_t burst, struct why *why);
void rate_free(struct rate *rate);

/* 0 where `key` may take more now, otherwise in how many milliseconds. `now_us` is the monotonic clock's. */
uint64_t rate_wait_ms(struct rate *rate, struct span key, uint64_t now_us);
void rate_take(struct rate *rate, struct span key, uint64_t units, uint64_t now_us);

#endif
