/* Fibers in place of threads. Which of those that can run is next, the seed says; time goes by only when nobody can run, and a
 * little with every turn. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/sim/fiber.h"

enum { STACK_BYTES = 256 << 10, TURN_US_MAX = 20 };

static struct fiber *fibers;
struct fiber *sim_running;
static ucontext_t scheduler;
static void *free_stacks;
static uint64_t now_us, random_state;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void sim_seed(uint64_t seed)
{
    random_state = mix(seed + 1); /* seeds that follow each other start far apart */
}

/* splitmix64 */
uint64_t sim_random(void)
{
    return mix(random_state += UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t sim_below(uint64_t n)
{
    return n == 0 ? 0 : sim_random() % n;
}

bool sim_chance(unsigned in_a_million)
{
    return in_a_million > 0 && sim_below(1000000) < in_a_million;
}

uint64_t sim_now_us(void)
{
    return now_us;
}

struct machine *sim_machine(void)
{
    return sim_running == NULL ? NULL : sim_running->machine;
}

static void *take_stack(void)
{
    if (free_stacks != NULL) {
        void *stack = free_stacks;
        free_stacks = *(void **)stack;
        return stack;
    }
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    return stack;
}

static void begin(void)
{
    sim_running->result = sim_running->run(sim_running->arg);
    sim_running->done = true;
    sim_wake(sim_running, true);
    setcontext(&scheduler);
}

struct fiber *sim_spawn(struct machine *machine, void *(*run)(void *), void *arg)
{
    struct fiber *fiber = calloc(1, sizeof *fiber), **end = &fibers;
    if (fiber == NULL)
        abort();
    *fiber = (struct fiber){
        .machine = machine, .run = run, .arg = arg, .stack = take_stack(), .until_us = (uint64_t)SIM_NEVER_US, .detached = true
    };
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->context, begin, 0);
    while (*end != NULL)
        end = &(*end)->next;
    *end = fiber;
    return fiber;
}

void sim_switch(void)
{
    struct fiber *self = sim_running;
    self->error = errno;
    swapcontext(&self->context, &scheduler);
    errno = self->error;
}

void sim_yield(void)
{
    /* Not every point at which others may run is one at which they do. */
    if (sim_running != NULL && sim_below(4) == 0)
        sim_switch();
}

bool sim_wait(const void *on, uint64_t until_us)
{
    struct fiber *self = sim_running;
    self->on = on;
    self->until_us = until_us;
    self->timed_out = false;
    sim_switch();
    return !self->timed_out;
}

void sim_wake(const void *on, bool all)
{
    struct fiber *chosen = NULL;
    uint64_t waiting = 0;
    for (struct fiber *fiber = fibers; fiber != NULL; fiber = fiber->next) {
        if (fiber->on != on)
            continue;
        if (all)
            fiber->on = NULL;
        else if (sim_below(++waiting) == 0)
            chosen = fiber;
    }
    if (chosen != NULL)
        chosen->on = NULL;
}

void sim_sleep_us(uint64_t us)
{
    static const char sleeping;
    sim_wait(&sleeping, now_us + us);
}

static void release(struct fiber *fiber)
{
    *(void **)fiber->stack = free_stacks;
    free_stacks = fiber->stack;
    free(fiber);
}

void sim_kill_fibers(struct machine *machine, bool self)
{
    for (struct fiber **at = &fibers; *at != NULL;) {
        struct fiber *fiber = *at;
        if (fiber->machine != machine || (fiber == sim_running && !self)) {
            at = &fiber->next;
            continue;
        }
        *at = fiber->next;
        if (fiber != sim_running)
            release(fiber); /* what it held in memory is lost, as a killed process's is */
    }
}

/* One that can run, by chance; otherwise the one whose time comes first. NULL: none ever will. */
static struct fiber *choose(void)
{
    struct fiber *ready = NULL, *first = NULL;
    uint64_t n = 0;
    for (struct fiber *fiber = fibers; fiber != NULL; fiber = fiber->next) {
        if (fiber->done)
            continue;
        if (fiber->on != NULL && fiber->until_us <= now_us) {
            fiber->on = NULL;
            fiber->timed_out = true;
        }
        if (fiber->on == NULL && sim_below(++n) == 0)
            ready = fiber;
        if (fiber->on != NULL && fiber->until_us != (uint64_t)SIM_NEVER_US && (first == NULL || fiber->until_us < first->until_us))
            first = fiber;
    }
    if (ready != NULL || first == NULL)
        return ready;
    now_us = first->until_us;
    first->on = NULL;
    first->timed_out = true;
    return first;
}

static void bury(void)
{
    for (struct fiber **at = &fibers; *at != NULL;) {
        struct fiber *fiber = *at;
        if (fiber->done && fiber->detached) {
            *at = fiber->next;
            release(fiber);
        } else {
            at = &fiber->next;
        }
    }
}

bool sim_run(void *(*run)(void *), void *arg, uint64_t until_us)
{
    struct fiber *main_fiber = sim_spawn(NULL, run, arg);
    main_fiber->detached = false;
    while (!main_fiber->done) {
        struct fiber *fiber = choose();
        if (fiber == NULL || now_us > until_us)
            return false;
        now_us += 1 + sim_below(TURN_US_MAX);
        sim_running = fiber;
        swapcontext(&scheduler, &fiber->context);
        sim_running = NULL;
        bury();
    }
    return true;
}

void sim_lock(struct sim_lock *lock)
{
    while (lock->owner != NULL)
        sim_wait(lock, (uint64_t)SIM_NEVER_US);
    lock->owner = sim_running;
}

void sim_unlock(struct sim_lock *lock)
{
    lock->owner = NULL;
    sim_wake(lock, false);
}
