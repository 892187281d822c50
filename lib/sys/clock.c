#include "lib/sys/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_posix_s(void)
{
    return read_us(CLOCK_REALTIME) / 1000000;
}

uint64_t clock_posix_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

uint64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

const char *clock_text(uint64_t time_s, char out[CLOCK_TEXT_BYTES])
{
    time_t time = (time_t)time_s;
    struct tm tm;
    if (time_s == 0 || gmtime_r(&time, &tm) == NULL || strftime(out, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
    return out;
}
