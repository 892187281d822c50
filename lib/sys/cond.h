/*
 * Conditions that are waited for by the monotonic clock: a time of day that is set back makes nobody wait longer.
 */
#ifndef STELE_SYS_COND_H
#define STELE_SYS_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void cond_init(pthread_cond_t *cond);
/* Waits, at most until clock_monotonic_ms is `until_ms`; false where it is. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms);

#endif
