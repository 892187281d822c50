#include "tests/sim/chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/cosignature.h"

enum err log_cmd_serve(int argc, char **argv, struct why *why);
enum err log_cmd_fsck(int argc, char **argv, struct why *why);
enum err witness_cmd_serve(int argc, char **argv, struct why *why);

struct machine machines[MACHINES] = {
    { .name = "log", .serve = log_cmd_serve },
    { .name = "w0", .serve = witness_cmd_serve },
    { .name = "w1", .serve = witness_cmd_serve },
    { .name = "w2", .serve = witness_cmd_serve },
};

struct machine *machine_named(const char *name, size_t len)
{
    for (size_t i = 0; i < MACHINES; i++)
        if (span_is(span_of(name, len), machines[i].name))
            return &machines[i];
    return NULL;
}

/* What a run has of each. */
static struct {
    bool kill, cut, stop, clock, storage, network, signer, flip, reread, full;
    uint64_t pause_us; /* the longest between two events */
} chosen;

static bool healed;

static void spoil_network(void)
{
    sim_faults.lost = (unsigned)sim_below(100000);
    sim_faults.lost_reply = (unsigned)sim_below(100000);
    sim_faults.repeated = (unsigned)sim_below(200000);
    sim_faults.refused = (unsigned)sim_below(50000);
    sim_faults.slow = (unsigned)sim_below(50000);
}

void chaos_choose(void)
{
    uint64_t coins = sim_random();
    chosen.kill = coins & 1;
    chosen.cut = coins & 2;
    chosen.stop = coins & 4;
    chosen.clock = coins & 8;
    chosen.storage = coins & 16;
    chosen.network = coins & 32;
    chosen.signer = coins & 64;
    chosen.flip = coins & 128;
    chosen.reread = coins & 256;
    chosen.full = coins & 512;
    machines[WITNESSES].liar = (coins & 3072) == 0;
    chosen.pause_us = 20000 + sim_below(3000000);
    sim_faults.delay_us = 100 + sim_below(chosen.network ? 200000 : 5000);
    if (chosen.network)
        spoil_network();
    if (chosen.storage)
        sim_faults.io_error = (unsigned)sim_below(3000);
    if (chosen.full)
        sim_faults.no_space = (unsigned)sim_below(3000);
    if (chosen.signer)
        sim_faults.signer_dies = (unsigned)sim_below(20000);
    sim_say("chosen:%s%s%s%s%s%s%s%s%s%s%s", chosen.kill ? " kill" : "", chosen.cut ? " cut" : "", chosen.stop ? " stop" : "",
            chosen.clock ? " clock" : "", chosen.storage ? " storage" : "", chosen.network ? " network" : "",
            chosen.signer ? " signer" : "", chosen.flip ? " flip" : "", chosen.reread ? " reread" : "", chosen.full ? " full" : "",
            machines[WITNESSES].liar ? " liar" : "");
}

static void jump(struct machine *machine)
{
    /* Up to half an hour either way: what a broken time service does. */
    machine->clock_us = sim_below(3) == 0 ? 0 : (int64_t)sim_below(UINT64_C(3600) * 1000000) - (int64_t)1800 * 1000000;
    sim_say("%s: its clock is off by %lld s", machine->name, (long long)(machine->clock_us / 1000000));
}

static void strike(struct machine *machine)
{
    switch (sim_below(7)) {
    case 0:
        if (chosen.kill)
            machine_kill(machine);
        break;
    case 1:
        if (chosen.cut)
            machine_cut(machine);
        break;
    case 2:
        if (chosen.stop && machine->up)
            machine_stop(machine);
        break;
    case 3:
        if (chosen.clock)
            jump(machine);
        break;
    case 4:
        if (chosen.flip)
            flip_strike(machine);
        break;
    case 5:
        if (chosen.reread && machine->up)
            machine_signal(machine, SIGHUP);
        break;
    case 6: /* the disk is full for a while */
        if (chosen.full)
            disk_free_bytes = sim_below(2) == 0 ? 0 : UINT64_C(1) << 40;
        break;
    }
}

void *chaos_run(void *arg)
{
    uint64_t until_us = *(const uint64_t *)arg;
    while (sim_now_us() < until_us) {
        sim_sleep_us(sim_below(chosen.pause_us));
        strike(&machines[sim_below(MACHINES)]);
    }
    return NULL;
}

/* Looks in now and then: what has ended is started, what says that it cannot go on is ended. */
void *chaos_operate(void *arg)
{
    struct machine *machine = arg;
    struct sim_reply reply = { 0 };
    while (!healed) {
        sim_sleep_us(100000 + sim_below(3000000));
        if (!machine->up) {
            if (machine->ended != OK && !machine->lost_signer && flip_is_open(machine))
                flip_mend(machine, "its program");
            machine_start(machine);
            continue;
        }
        net_call(machine->name, "/healthz", NULL, 2000000, &reply);
        if (reply.status == 503 && machine->up) {
            sim_say("%s is not well: %.*s", machine->name, SPAN_FMT(span_buf(&reply.body)));
            if (sim_below(2) == 0)
                machine_stop(machine);
            else
                machine_kill(machine);
        }
    }
    return NULL;
}

static bool fsck_finds(struct why *why)
{
    char *argv[] = { (char *)(uintptr_t) "fsck", (char *)(uintptr_t) "/log", (char *)(uintptr_t) "--full", NULL };
    *why = (struct why){ "" };
    enum err err = log_cmd_fsck(3, argv, why);
    disk_close_all(NULL); /* as its process ends */
    return err != OK;
}

/* Everything is well but for a turned bit: where that keeps the program from running it says so, and runs without it. */
static void start_healthy(struct machine *machine)
{
    machine_start(machine);
    sim_sleep_us(UINT64_C(5) * 1000000);
    if (machine->up || machine->liar || !flip_is_open(machine))
        return;
    flip_mend(machine, "its program");
    machine_start(machine);
}

bool chaos_heal(void)
{
    struct sim_reply reply = { 0 };
    sim_say("all is well again");
    healed = true;
    sim_faults = (struct sim_faults){ .delay_us = 1000 };
    disk_free_bytes = UINT64_C(1) << 40;
    for (size_t i = 0; i < MACHINES; i++) {
        machines[i].clock_us = 0;
        if (machines[i].up)
            machine_stop(&machines[i]);
    }
    struct why why;
    if (flip_is_open(&machines[0]) && fsck_finds(&why))
        flip_mend(&machines[0], "fsck"); /* one that it does not find must not matter: what follows holds */
    /* What was signed under a clock that ran ahead stands until the time comes. */
    sim_sleep_us(UINT64_C(2000) * 1000000);
    for (size_t i = 0; i < MACHINES; i++)
        start_healthy(&machines[i]);
    net_call("log", "/healthz", NULL, 5000000, &reply);
    bool well = reply.status == 200;
    buf_free(&reply.body);
    return well || flip_counts().values == 0;
}

void chaos_check_log(void)
{
    struct why why;
    machine_stop(&machines[0]);
    if (fsck_finds(&why))
        sim_fail("fsck: %s", why.text);
}

static void lie_to_post(struct span body, struct sim_reply *reply)
{
    uint8_t noise[COSIGNATURE_BYTES];
    (void)body;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)sim_random();
    switch (sim_below(6)) {
    case 0:
        reply->status = 409;
        buf_fmt(&reply->body, "%llu\n", (unsigned long long)sim_below(3000));
        break;
    case 1:
        reply->status = 409;
        buf_fmt(&reply->body, "%llu\n", (unsigned long long)(sim_random() >> sim_below(64)));
        break;
    case 2: {
        struct vkey key = vkey_make(span_str("w2.example"), SIG_COSIGNATURE, noise);
        note_sig_render(&reply->body, &key, span_of(noise, sizeof noise));
        break;
    }
    case 3: buf_span(&reply->body, span_of(noise, sizeof noise)); break;
    case 4:
        reply->status = 429;
        reply->retry_after_s = sim_below(100000);
        break;
    default: reply->status = (unsigned)(400 + sim_below(200));
    }
}

void chaos_lie(struct machine *machine, struct span path, struct span body, struct sim_reply *reply)
{
    buf_clear(&reply->body);
    reply->status = 200;
    reply->retry_after_s = 0;
    if (span_is(path, "/add-checkpoint")) {
        lie_to_post(body, reply);
    } else {
        reply->status = sim_below(2) == 0 ? 200 : 404;
        buf_fmt(&reply->body, "log.example/sim\n%llu\nAAAA\n\n", (unsigned long long)sim_below(100));
    }
    sim_say("%s lies: %u", machine->name, reply->status);
}
