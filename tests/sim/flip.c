/*
 * Bits that turn on a disk, behind everybody's back. Whoever comes upon one refuses to go on, or `fsck` finds it, and the operator
 * puts back what was there; until then nothing untrue is signed, and nothing that a client would believe.
 *
 * What turns is what the programs keep: values of the log's databases, at any time; and files, while the machine is down. Not what
 * the operator writes: a turned bit in `policy` may be a policy. Keys of a database turn in tests/fault/test_bits.sh, on LMDB's
 * own pages.
 */
#include <stdio.h>

#include "tests/sim/chaos.h"

static struct flip {
    enum { FLIP_NONE, FLIP_FILE, FLIP_VALUE } kind;
    struct disk_flip file;
    struct kv_flip value;
} flips[MACHINES];

static struct flip_counts counts;

static bool is_kept(const char *name)
{
    static const char *const written[] = { "config", "policy", "logs", "builders", "key.pub", "lock" };
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (strcmp(name, written[i]) == 0)
            return false;
    return true;
}

static struct flip *flip_of(const struct machine *machine)
{
    return &flips[machine - machines];
}

bool flip_is_open(const struct machine *machine)
{
    return flip_of(machine)->kind != FLIP_NONE;
}

void flip_strike(struct machine *machine)
{
    struct flip *flip = flip_of(machine);
    char folder[64];
    snprintf(folder, sizeof folder, "/%s", machine->name);
    if (flip->kind != FLIP_NONE)
        return;
    if (sim_below(2) == 0 && kv_model_flip(folder, &flip->value)) {
        flip->kind = FLIP_VALUE;
        sim_say("%s: a bit turns in table %u of %s", machine->name, flip->value.table, flip->value.path);
    } else if (!machine->up && disk_flip(folder, is_kept, &flip->file)) {
        flip->kind = FLIP_FILE;
        sim_say("%s: bit %zu of %s turns", machine->name, 8 * flip->file.at, flip->file.path);
    }
    counts.turned += flip->kind != FLIP_NONE;
    counts.values += flip->kind == FLIP_VALUE;
}

void flip_mend(struct machine *machine, const char *finder)
{
    struct flip *flip = flip_of(machine);
    bool back = true;
    if (flip->kind == FLIP_VALUE) {
        kv_model_flip_back(&flip->value);
        kv_model_remove("/log/index");
    } else {
        back = disk_flip_back(&flip->file);
    }
    flip->kind = FLIP_NONE;
    counts.found++;
    sim_say("%s: the bit is found by %s%s", machine->name, finder, back ? ", and turned back" : "; it was written over");
}

struct flip_counts flip_counts(void)
{
    return counts;
}
