/*
 * Runs a program so and so often, so many at once, and says how long each took as a whole process:
 * hook RUNS AT_ONCE PROGRAM
 * prints "name value" lines: p50_ms, p99_ms, and cpu_ms, the median of the CPU time of the process and its children. The
 * environment is handed on; its output goes to /dev/null. Meanwhile the Nix database of NIX_STATE_DIR is open here, as it is in
 * the Nix that calls a hook: else each run would make its shared memory anew.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/clock.h"

enum { AT_ONCE_MAX = 64 };

extern char **environ;

static struct {
    char *program;
    size_t runs;
    double *took_ms, *cpu_ms;
    size_t next;
    pthread_mutex_t lock;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static double ms_of(struct timeval time)
{
    return (double)time.tv_sec * 1000 + (double)time.tv_usec / 1000;
}

static double run_once(double *cpu_ms)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = { shared.program, NULL };
    pid_t pid;
    struct rusage used;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    uint64_t started_us = clock_monotonic_us();
    if (posix_spawn(&pid, shared.program, &actions, NULL, argv, environ) != 0 || wait4(pid, &status, 0, &used) != pid ||
        status != 0) {
        perror(shared.program);
        exit(1);
    }
    uint64_t took_us = clock_monotonic_us() - started_us;
    posix_spawn_file_actions_destroy(&actions);
    *cpu_ms = ms_of(used.ru_utime) + ms_of(used.ru_stime);
    return (double)took_us / 1000;
}

static void *work(void *ctx)
{
    for (;;) {
        pthread_mutex_lock(&shared.lock);
        size_t at = shared.next++;
        pthread_mutex_unlock(&shared.lock);
        if (at >= shared.runs)
            return ctx;
        shared.took_ms[at] = run_once(&shared.cpu_ms[at]);
    }
}

static void open_database(void)
{
    char file[4096];
    sqlite3 *handle;
    if (getenv("NIX_STATE_DIR") == NULL)
        return;
    snprintf(file, sizeof file, "%s/db/db.sqlite", getenv("NIX_STATE_DIR"));
    if (sqlite3_open(file, &handle) != SQLITE_OK ||
        sqlite3_exec(handle, "select count(*) from ValidPaths", NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", file, sqlite3_errmsg(handle));
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    pthread_t threads[AT_ONCE_MAX];
    size_t at_once = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    shared.runs = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    if (shared.runs == 0 || at_once == 0 || at_once > AT_ONCE_MAX) {
        fprintf(stderr, "usage: hook RUNS AT_ONCE PROGRAM\n");
        return 2;
    }
    shared.program = argv[3];
    shared.took_ms = calloc(shared.runs, sizeof *shared.took_ms);
    shared.cpu_ms = calloc(shared.runs, sizeof *shared.cpu_ms);
    if (shared.took_ms == NULL || shared.cpu_ms == NULL)
        return 1;
    open_database();
    for (size_t i = 0; i < at_once; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 1;
    for (size_t i = 0; i < at_once; i++)
        pthread_join(threads[i], NULL);
    qsort(shared.took_ms, shared.runs, sizeof *shared.took_ms, by_value);
    qsort(shared.cpu_ms, shared.runs, sizeof *shared.cpu_ms, by_value);
    printf("p50_ms %.2f\np99_ms %.2f\ncpu_ms %.2f\n", shared.took_ms[shared.runs / 2], shared.took_ms[shared.runs * 99 / 100],
           shared.cpu_ms[shared.runs / 2]);
    free(shared.cpu_ms);
    free(shared.took_ms);
    return 0;
}
