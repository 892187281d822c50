/*
 * A world in one process: fibers in place of threads and processes, a disk, a network and clocks that exist only here, and one
 * seed that decides everything that could go either way. The log, its signer and the witnesses run in it as they are; what
 * they call of the system and of lib/sys is replaced when the program is linked (see the Makefile), never in their source.
 *
 * One seed, one run: the same seed does the same again, to the last byte.
 */
#ifndef STELE_TESTS_SIM_SIM_H
#define STELE_TESTS_SIM_SIM_H

#include "lib/head.h"
#include "lib/note.h"

enum { SIM_NEVER_US = -1 };

/* --- chance */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t n); /* 0 to n - 1; 0 for n = 0 */
bool sim_chance(unsigned in_a_million);
void sim_seed(uint64_t seed);

/* --- fibers and time (fiber.c) */
struct machine;
struct fiber;
struct http_request;
uint64_t sim_now_us(void);
/* Starts a fiber that belongs to `machine` (NULL: to the world, which never dies). */
struct fiber *sim_spawn(struct machine *machine, void *(*run)(void *), void *arg);
struct machine *sim_machine(void); /* whose fiber runs; NULL for the world's */
/* The running fiber's process is not its machine's any more (it was killed): its fibers never run again; the running one
 * only where `self` is false. */
void sim_kill_fibers(struct machine *machine, bool self);
/* Others may run here. */
void sim_yield(void);
/* Waits until sim_wake(on), or the time comes (sim_now_us; SIM_NEVER_US: never); false where it was the time. */
bool sim_wait(const void *on, uint64_t until_us);
void sim_wake(const void *on, bool all);
void sim_sleep_us(uint64_t us);
/* Runs until the fiber that `run` starts has ended. False where nothing can run any more, or the world's time is over. */
bool sim_run(void *(*run)(void *), void *arg, uint64_t until_us);
/* A lock of the world's own. */
struct sim_lock {
    struct fiber *owner;
};
void sim_lock(struct sim_lock *lock);
void sim_unlock(struct sim_lock *lock);

/* --- what may go wrong at the moment, each in a million (chaos.c sets it, all the others ask) */
struct sim_faults {
    unsigned io_error;                                  /* a write, sync or rename fails */
    unsigned no_space;                                  /* a write fails for want of room */
    unsigned lost, lost_reply, repeated, refused, slow; /* of messages */
    unsigned signer_dies;                               /* at a request to it */
    uint64_t delay_us;                                  /* the longest of a usual message */
    bool syncs_lie, commits_lie; /* say that they are done, and do nothing: no program can hold then, and some seed must show it */
};
extern struct sim_faults sim_faults;

/* --- machines (machine.c) */
struct machine {
    const char *name; /* its host name, and its folder: "/NAME" */
    enum err (*serve)(int argc, char **argv, struct why *why);
    int64_t clock_us; /* its clock's distance from the true time */
    unsigned life;    /* counts processes: what an earlier one began is nobody's */
    bool up;          /* a process runs */
    int signal;       /* sent, and not taken yet */
    bool lost_signer; /* this process's signer died: that is no fault that it found */
    enum err ended;   /* how the last process ended by itself */
    struct why why_ended;
    /* The network's side. */
    void (*handle)(void *ctx, struct http_request *request);
    void *handle_ctx;
    unsigned answering;
    /* A witness that is not one: answers whatever it likes. */
    bool liar;
};
void machine_start(struct machine *machine);
/* SIGKILL: the page cache stays. */
void machine_kill(struct machine *machine);
/* The machine loses its power: of what was not synced anything may be there, or nothing. */
void machine_cut(struct machine *machine);
/* SIGTERM, and waits; kills where it takes longer than a minute. */
void machine_stop(struct machine *machine);
void machine_signal(struct machine *machine, int signal);

/* --- the disk (disk.c) */
void disk_put(const char *path, struct span content); /* durable at once: how the world makes its files */
bool disk_get(const char *path, struct buf *out);
void disk_touch(const char *folder, const char *file); /* makes both where they are missing */
void disk_close_all(struct machine *machine);          /* of a process that died */
void disk_power_cut(const char *root);
/* One bit of one file that was turned, and the file as it was left. */
struct disk_flip {
    void *inode;
    size_t at;
    uint8_t bit;
    struct buf left;
    char path[300];
};
/* Turns one bit of a file under `root`, of those that have a byte and that `may` names. False where there is none. */
bool disk_flip(const char *root, bool (*may)(const char *name), struct disk_flip *out);
/* Turns it back; false where the file is not as it was left any more. */
bool disk_flip_back(struct disk_flip *flip);
extern uint64_t disk_free_bytes;

/* --- the key-value store (kv_model.c) */
void kv_model_power_cut(const char *root);
struct kv_flip {
    uint8_t *at;
    uint8_t bit;
    const char *path; /* of the store */
    unsigned table;
};
/* Turns one bit of one value in a store under `root`, in memory and on the disk. False where there is none. */
bool kv_model_flip(const char *root, struct kv_flip *out);
void kv_model_flip_back(const struct kv_flip *flip);
void kv_model_remove(const char *path);

/* --- the network (net.c) */
struct sim_reply {
    unsigned status; /* 0: no answer */
    struct buf body;
    uint64_t retry_after_s;
};
/* From a client of the world's. */
void net_call(const char *machine, const char *path, const struct span *post, uint64_t timeout_us, struct sim_reply *out);
void net_forget(struct machine *machine); /* its process died */

/* --- bits that turn on a machine's disk (flip.c), one at a time and machine */
void flip_strike(struct machine *machine);
/* Has a bit turned that nobody has turned back? */
bool flip_is_open(const struct machine *machine);
/* With the machine down the operator puts back what was there, where nothing was written over it since; `finder` is who told him.
 * What the log makes of its database, it makes anew. */
void flip_mend(struct machine *machine, const char *finder);
struct flip_counts {
    unsigned turned, found;
    unsigned values; /* of those turned, in the log's databases */
};
struct flip_counts flip_counts(void);

/* --- what was seen (history.c): every head that a machine signed or showed, every proof that it gave */
enum err history_start(struct span policy, struct span log_key, const struct span *witness_keys, size_t witnesses_n,
                       struct why *why);
void history_asked(const struct machine *to, struct span path, struct span body);
void history_answered(const struct machine *from, struct span path, struct span request, unsigned status, struct span body);
/* The index at which this entry was proven; UINT64_MAX: never. */
uint64_t history_index(const struct hash *leaf);
/* Holds all of it against the log's entries, read back from it. */
void history_hold(const struct hash *leaves, uint64_t size);
struct history_counts {
    size_t proofs, log_heads, witness_heads;
};
struct history_counts history_counts(void);

/* Ends the run: something was promised and does not hold. */
_Noreturn void sim_fail(const char *fmt, ...) STELE_PRINTF(1, 2);
/* One line of the story, shown with -v. */
void sim_say(const char *fmt, ...) STELE_PRINTF(1, 2);

#endif
