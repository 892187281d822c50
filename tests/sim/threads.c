/* pthread's calls, sleep and clocks of the code under test: fibers, and the world's time. */
#define _GNU_SOURCE /* rwlock attributes */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "tests/sim/fiber.h"

static const uint64_t EPOCH_US = UINT64_C(1790000000) * 1000000;

/* A mutex is its first word: the owner; all others wait on its address. A dead process's mutexes are never
 * asked for again. */
struct mutex {
    struct fiber *owner;
};
struct rwlock {
    struct fiber *writer;
    unsigned readers, writers_waiting;
};
_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "fits");
_Static_assert(sizeof(struct rwlock) <= sizeof(pthread_rwlock_t), "fits");

#define AS(type, opaque) ((struct type *)(void *)(opaque))

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    (void)attr;
    struct fiber *fiber = sim_spawn(sim_running->machine, run, arg);
    fiber->detached = false;
    *out = (pthread_t)fiber;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    struct fiber *fiber = (struct fiber *)thread;
    while (!fiber->done)
        sim_wait(fiber, (uint64_t)SIM_NEVER_US);
    if (result != NULL)
        *result = fiber->result;
    fiber->detached = true;
    return 0;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    (void)attr;
    AS(mutex, mutex)->owner = NULL;
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (sim_running == NULL)
        return 0;
    sim_yield();
    while (AS(mutex, mutex)->owner != NULL)
        sim_wait(mutex, (uint64_t)SIM_NEVER_US);
    AS(mutex, mutex)->owner = sim_running;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (sim_running == NULL)
        return 0;
    AS(mutex, mutex)->owner = NULL;
    sim_wake(mutex, false);
    sim_yield();
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    (void)cond;
    (void)attr;
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *cond);
int __wrap_pthread_cond_destroy(pthread_cond_t *cond)
{
    (void)cond;
    return 0;
}

static int cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until_us)
{
    AS(mutex, mutex)->owner = NULL;
    sim_wake(mutex, false);
    /* One wake in a few hundred is for nothing, as the standard allows. */
    uint64_t spurious_us = sim_now_us() + 1 + sim_below(1000);
    bool early = sim_below(256) == 0 && spurious_us < until_us;
    bool woken = sim_wait(cond, early ? spurious_us : until_us);
    while (AS(mutex, mutex)->owner != NULL)
        sim_wait(mutex, (uint64_t)SIM_NEVER_US);
    AS(mutex, mutex)->owner = sim_running;
    return woken || early ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    return cond_wait(cond, mutex, (uint64_t)SIM_NEVER_US);
}

/* All conditions of the code under test count by the monotonic clock. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    return cond_wait(cond, mutex, (uint64_t)until->tv_sec * 1000000 + (uint64_t)until->tv_nsec / 1000);
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    sim_wake(cond, false);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    sim_wake(cond, true);
    return 0;
}

int __wrap_pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr);
int __wrap_pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr)
{
    (void)attr;
    *AS(rwlock, lock) = (struct rwlock){ 0 };
    return 0;
}

int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    (void)lock;
    return 0;
}

/* Writers first, as all of them are set up. */
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    struct rwlock *own = AS(rwlock, lock);
    sim_yield();
    while (own->writer != NULL || own->writers_waiting > 0)
        sim_wait(lock, (uint64_t)SIM_NEVER_US);
    own->readers++;
    return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    struct rwlock *own = AS(rwlock, lock);
    sim_yield();
    own->writers_waiting++;
    while (own->writer != NULL || own->readers > 0)
        sim_wait(lock, (uint64_t)SIM_NEVER_US);
    own->writers_waiting--;
    own->writer = sim_running;
    return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    struct rwlock *own = AS(rwlock, lock);
    if (own->writer != NULL)
        own->writer = NULL;
    else
        own->readers--;
    sim_wake(lock, true);
    return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how;
    (void)set;
    (void)old;
    return 0;
}

int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    sim_switch();
    return 0;
}

int __wrap_setpriority(int which, unsigned who, int nice);
int __wrap_setpriority(int which, unsigned who, int nice)
{
    (void)which;
    (void)who;
    (void)nice;
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    sim_sleep_us((uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_nsec / 1000);
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t us = sim_now_us();
    if (clock == CLOCK_REALTIME)
        us += EPOCH_US + (uint64_t)(sim_running == NULL || sim_running->machine == NULL ? 0 : sim_running->machine->clock_us);
    *out = (struct timespec){ .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };
    return 0;
}

long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
    (void)name; /* the cores: asked for nothing else */
    return 2;
}
