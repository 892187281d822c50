/*
 * Time. Cosignatures and logs need POSIX time; everything else waits and measures by the monotonic clock.
 */
#ifndef STELE_SYS_CLOCK_H
#define STELE_SYS_CLOCK_H

#include <stdint.h>

uint64_t clock_posix_s(void);
uint64_t clock_posix_ms(void);
uint64_t clock_monotonic_us(void);
static inline uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

#endif
