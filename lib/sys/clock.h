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

/* A POSIX time as people read it, "2026-11-25T22:10:05Z", in `out`; "" for 0, and for what no calendar has. */
enum { CLOCK_TEXT_BYTES = 32 };
const char *clock_text(uint64_t time_s, char out[CLOCK_TEXT_BYTES]);

#endif
