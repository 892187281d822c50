/* What the environment and an operator hand to a server: the service manager's variables, and a minute of another clock. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "lib/sys/heads.h"
#include "lib/sys/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_minute(const char *text)
{
    uint64_t time_s;
    char again[64];
    if (!heads_minute_parse(text, &time_s))
        return;
    time_t time = (time_t)time_s;
    assert(strftime(again, sizeof again, "%Y-%m-%dT%H:%MZ", gmtime(&time)) > 0 && strcmp(again, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len), first;
    uint64_t n;
    if (!span_line(&rest, &first))
        return 0;
    char *pid = span_dup_str(first), *fds = span_dup_str(rest);
    assert(pid != NULL && fds != NULL);
    if (service_handed(pid, fds, 4711, &n))
        assert(strcmp(pid, "4711") == 0 && n > 0 && (n <= INT32_MAX || n == UINT64_MAX));
    check_minute(pid);
    free(pid);
    free(fds);
    return 0;
}
