/*
 * A clock that jumps: loaded with LD_PRELOAD, adds to what the kernel says the seconds that stand in the file $CLOCK_SHIFT, as two
 * decimal numbers of 20 characters with a blank between and a newline after them: to the time of day, and to the monotonic
 * clocks. The file is mapped, so that it counts at once, also behind a seccomp filter; it must keep its length. Who sleeps by
 * nanosleep wakes when the monotonic clock, so moved, is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NUMBER_CHARS = 20, FILE_BYTES = 2 * NUMBER_CHARS + 2, LOOK_NS = 20 * 1000 * 1000, S_NS = 1000 * 1000 * 1000 };
#define NS_OF(time) ((long long)(time).tv_sec * S_NS + (time).tv_nsec)

static const char *shift = "";

/* System calls by number: this runs before a sanitizer's own wrappers are ready. */
__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    long fd = path == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    if (fd < 0)
        return;
    long at = syscall(SYS_mmap, NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (at != -1)
        shift = (const char *)at;
    syscall(SYS_close, fd);
}

static long long shift_s(int which)
{
    return shift[0] == '\0' ? 0 : strtoll(shift + which * (NUMBER_CHARS + 1), NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    long result = syscall(SYS_clock_gettime, id, out);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        out->tv_sec += shift_s(0);
    if (result == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW || id == CLOCK_BOOTTIME))
        out->tv_sec += shift_s(1);
    return (int)result;
}

/* Looks at the shift again every LOOK_NS. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    struct timespec now, step = { .tv_nsec = LOOK_NS };
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long until_ns = NS_OF(now) + NS_OF(*wanted), left_ns = until_ns - NS_OF(now);
    while (left_ns > 0) {
        if (left_ns < LOOK_NS)
            step.tv_nsec = (long)left_ns;
        long result = syscall(SYS_nanosleep, &step, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        left_ns = until_ns - NS_OF(now);
        if (result == -1 && errno == EINTR) {
            if (left_ns < 0)
                left_ns = 0;
            if (left != NULL)
                *left = (struct timespec){ (time_t)(left_ns / S_NS), (long)(left_ns % S_NS) };
            return -1;
        }
    }
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}
