/*
 * What goes wrong, and when: machines that are killed, lose their power, are told to stop, have a wrong clock; disks and networks
 * that fail; a witness that lies. Which of these happen in a run, and how often, its seed decides.
 */
#ifndef STELE_TESTS_SIM_CHAOS_H
#define STELE_TESTS_SIM_CHAOS_H

#include "tests/sim/sim.h"

enum { WITNESSES = 3, MACHINES = 1 + WITNESSES };
extern struct machine machines[MACHINES]; /* the log first */

/* By host name; NULL where there is none. */
struct machine *machine_named(const char *name, size_t len);

/* The faults of this run; then whatever happens until `until_us`, and an operator who starts again what has ended. */
void chaos_choose(void);
void *chaos_run(void *until_us);
void *chaos_operate(void *machine);
/* All is well again: no faults, true clocks, every machine up. False where the log has written on from a value of its database in
 * which a bit had turned, and so refuses to start or to sign: its data is to be taken from another copy
 * (tests/e2e/test_log_recover.sh). */
bool chaos_heal(void);
/* Ends the log, which `stele-log fsck --full` must then find right. */
void chaos_check_log(void);

/* An answer of a witness that lies. */
void chaos_lie(struct machine *machine, struct span path, struct span body, struct sim_reply *reply);

#endif
