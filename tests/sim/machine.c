/* Machines: processes that start, are killed, and come back to what their disk has kept. The signer is part of its server's process
 * here, and may die alone; between a request to it and its answer others run, and the power may go. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/child.h"
#include "lib/sys/report.h"
#include "tests/sim/chaos.h"
#include "tests/sim/sim.h"

static void *process(void *arg)
{
    struct machine *machine = arg;
    char folder[64];
    snprintf(folder, sizeof folder, "/%s", machine->name);
    char *argv[] = { (char *)(uintptr_t) "serve", folder, NULL };
    struct why why = { "" };
    enum err err = machine->serve(2, argv, &why);
    machine->ended = err;
    machine->why_ended = why;
    if (err != OK)
        sim_say("%s ends: %s", machine->name, why.text);
    machine->up = false;
    machine->life++;
    sim_kill_fibers(machine, false); /* a thread of its signer's, which ends with it */
    net_forget(machine);
    disk_close_all(machine);
    sim_wake(&machine->up, true);
    return NULL;
}

void machine_start(struct machine *machine)
{
    if (machine->liar || machine->up)
        return;
    sim_say("%s starts", machine->name);
    machine->up = true;
    machine->signal = 0;
    machine->lost_signer = false;
    machine->ended = OK;
    sim_spawn(machine, process, machine);
}

static void end(struct machine *machine)
{
    machine->up = false;
    machine->life++;
    sim_kill_fibers(machine, true);
    net_forget(machine);
    disk_close_all(machine);
    sim_wake(&machine->up, true);
}

void machine_kill(struct machine *machine)
{
    if (!machine->up)
        return;
    sim_say("%s is killed", machine->name);
    end(machine);
}

void machine_cut(struct machine *machine)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/%s", machine->name);
    sim_say("%s loses its power", machine->name);
    if (machine->up)
        end(machine);
    kv_model_power_cut(folder);
    disk_power_cut(folder);
}

void machine_signal(struct machine *machine, int signal)
{
    machine->signal = signal;
    sim_wake(&machine->signal, true);
}

void machine_stop(struct machine *machine)
{
    uint64_t until_us = sim_now_us() + UINT64_C(60) * 1000000;
    sim_say("%s is told to stop", machine->name);
    machine_signal(machine, SIGTERM);
    while (machine->up && sim_now_us() < until_us)
        sim_wait(&machine->up, until_us);
    if (machine->up)
        machine_kill(machine);
}

int __wrap_sigwait(const sigset_t *set, int *signal);
int __wrap_sigwait(const sigset_t *set, int *signal)
{
    struct machine *machine = sim_machine();
    (void)set;
    while (machine->signal == 0)
        sim_wait(&machine->signal, (uint64_t)SIM_NEVER_US);
    *signal = machine->signal;
    machine->signal = 0;
    return 0;
}

/* --- lib/sys/child.h */

struct child {
    struct child_role role;
    struct sim_lock lock;
    bool dead;
    bool lost; /* it died without a word */
};

enum err child_start(struct child **out, const struct child_role *role, struct buf *hello, struct why *why)
{
    struct child *child = calloc(1, sizeof *child);
    struct buf unused = BUF_EMPTY;
    if (child == NULL)
        abort();
    child->role = *role;
    sim_yield();
    enum err err = role->start(role->ctx, hello == NULL ? &unused : hello, why);
    buf_free(&unused);
    *out = child;
    return err;
}

enum err child_call(struct child *child, struct span request, struct buf *reply, struct why *why)
{
    sim_lock(&child->lock);
    sim_yield();
    enum err err = OK;
    if (!child->dead && sim_chance(sim_faults.signer_dies)) {
        sim_say("%s: its signer dies", sim_machine()->name);
        child->dead = child->lost = sim_machine()->lost_signer = true;
        if (sim_machine()->signal == 0)
            machine_signal(sim_machine(), SIGCHLD);
    }
    if (!child->dead && child->role.serve(child->role.ctx, request, reply, why) != OK)
        child->dead = true; /* as a real one ends */
    if (child->dead)
        err = fail(why, ERR_ENV, "%s died", child->role.name);
    sim_yield();
    sim_unlock(&child->lock);
    return err;
}

enum err child_lives(const struct child *child, struct why *why)
{
    return child->lost ? fail(why, ERR_ENV, "%s died", child->role.name) : OK;
}

void child_stop(struct child *child)
{
    free(child);
}

/* --- lib/sys/report.h: into the story */

void report_start(const char *program, enum report_level least)
{
    (void)program;
    (void)least;
}

void report(enum report_level level, const char *event, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    (void)level;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    sim_say("%s: %s %s", sim_machine() == NULL ? "-" : sim_machine()->name, event, text);
}

const char *report_quote(const char *text)
{
    return text;
}

void report_why(enum report_level level, const char *event, const struct why *why)
{
    report(level, event, "why=%s", why->text);
}
