#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/sys/clock.h"
#include "lib/sys/heads.h"

bool heads_minute_parse(const char *text, uint64_t *out)
{
    struct tm tm = { 0 };
    char again[32];
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &used) != 5 ||
        used != 17 || text[used] != '\0')
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t time = timegm(&tm);
    *out = (uint64_t)time;
    return time > 0 && strftime(again, sizeof again, "%Y-%m-%dT%H:%MZ", &tm) == 17 && strcmp(again, text) == 0;
}

enum err heads_clock_set(struct heads *heads, uint64_t now_s, size_t *changed, struct why *why)
{
    enum err err = OK;
    *changed = 0;
    for (size_t i = 0; i < heads_count(heads) && err == OK; i++) {
        struct head_record record = *heads_at(heads, i);
        if (record.time_s <= now_s)
            continue;
        if (record.suspended) /* adding it would take it up */
            return fail(why, ERR_REFUSED, "logs are suspended: resume them first");
        record.time_s = now_s;
        err = heads_add(heads, &record, 1, why);
        ++*changed;
    }
    return err;
}

enum err heads_clock_said(const char *text, uint64_t *now_s, struct why *why)
{
    uint64_t said_s;
    *now_s = clock_posix_s();
    if (!heads_minute_parse(text, &said_s))
        return fail(why, ERR_USAGE, "the time is wanted as 2026-11-25T22:10Z, in UTC, from another clock than this machine's");
    if (said_s > *now_s + HEADS_CLOCK_APART_MAX_S || said_s + HEADS_CLOCK_APART_MAX_S < *now_s)
        return fail(why, ERR_REFUSED, "this machine's clock differs from that by more than %d s: set it right first",
                    HEADS_CLOCK_APART_MAX_S);
    return OK;
}
