/*
 * A process that holds a secret: forked before its parent starts a thread or opens a socket, sandboxed (seccomp, no new
 * privileges, no core dump, not traceable), answering framed requests over a socketpair. It cannot open a file, a socket or
 * a process once it serves. It dies with its parent.
 */
#ifndef STELE_SYS_CHILD_H
#define STELE_SYS_CHILD_H

#include "lib/sys/frame.h"

struct child;

struct child_role {
    const char *name; /* the process's title, in errors */
    /* In the child, before the sandbox: load the key, open the files, start threads and wait until they run, for what a thread
     * asks the kernel as it begins is not in the sandbox. What it puts in `hello` is handed to the parent. */
    enum err (*start)(void *ctx, struct buf *hello, struct why *why);
    /* In the child, sandboxed: one request. A returned error ends the child: for refusals, answer in `reply`. */
    enum err (*serve)(void *ctx, struct span request, struct buf *reply, struct why *why);
    void *ctx;
    /* In the child, at its end: frees what `start` loaded, so that the key is wiped. Also after a `start` that failed. May be
     * NULL. */
    void (*end)(void *ctx);
};

/* Forks and waits for `start`. Its error becomes ours. `hello` (appended) may be NULL. */
enum err child_start(struct child **out, const struct child_role *role, struct buf *hello, struct why *why);
/* One request and its reply (appended); safe from several threads, one after the other. ERR_ENV where the child died, from
 * then on always. */
enum err child_call(struct child *child, struct span request, struct buf *reply, struct why *why);
/* OK while the child runs, and where it said why it ended: child_call says so, too. ERR_ENV where it ended without a word (it was
 * killed, or is broken): a start may be all that is missing. The parent is told of an end by SIGCHLD. */
enum err child_lives(const struct child *child, struct why *why);
/* Closes the socketpair and waits for the child's end. */
void child_stop(struct child *child);

#endif
