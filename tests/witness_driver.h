/*
 * Drives the program stele-witness (of PATH) for tests and benchmarks: a witness in its folder. What cannot be done at all ends the
 * test.
 */
#ifndef STELE_TESTS_WITNESS_DRIVER_H
#define STELE_TESTS_WITNESS_DRIVER_H

#include <sys/types.h>

#include "tests/own_log.h"

/* A stele-witness in its folder. */
struct peer {
    char dir[512];
    pid_t pid;
    char url[128];
    char vkey_text[512];
    struct vkey key; /* borrows from vkey_text */
};

/* Runs `stele-witness ARGUMENTS...` (argument 0 included, ended by NULL) to its end, and returns its status. */
int driver_run(const char *const *arguments);
void peer_make(struct peer *peer, const char *scratch, const char *name);
void peer_add_log(const struct peer *peer, const char *vkey, const char *origin);
/* Where `injection` is not NULL, under strace: "SYSCALL:error=EIO:when=3", as its -e inject takes it. The witness's standard error
 * goes to the file that $WITNESS_ERRORS names, else nowhere. False where it does not start, which ends the test without injection.
 * */
bool peer_start_traced(struct peer *peer, const char *injection, const char *trace_file);
void peer_start(struct peer *peer);
/* Its exit status; -1 where a signal ended it. */
int peer_stop(struct peer *peer, int signal_number);
/* The URL of `path`; valid until the next call. */
const char *peer_url(const struct peer *peer, const char *path);

#endif
