/*
 * What fiber.c shares with threads.c alone.
 */
#ifndef STELE_TESTS_SIM_FIBER_H
#define STELE_TESTS_SIM_FIBER_H

#include <ucontext.h>

#include "tests/sim/sim.h"

struct fiber {
    struct fiber *next;
    ucontext_t context;
    void *stack;
    struct machine *machine;
    void *(*run)(void *);
    void *arg, *result;
    const void *on; /* waited for; NULL where it can run */
    uint64_t until_us;
    bool timed_out, done, detached;
    int error; /* errno is each thread's own */
};

extern struct fiber *sim_running;
/* Somebody's turn, the running fiber's own included. */
void sim_switch(void);

#endif
