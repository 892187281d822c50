/*
 * The verbs of `stele`, a file each; the table is in client/main.c.
 */
#ifndef STELE_CLIENT_VERBS_H
#define STELE_CLIENT_VERBS_H

#include "lib/why.h"

enum err run_keygen(int argc, char **argv, struct why *why);
enum err run_attest(int argc, char **argv, struct why *why);
enum err run_deliver(int argc, char **argv, struct why *why);
enum err run_submit(int argc, char **argv, struct why *why);
enum err run_verify(int argc, char **argv, struct why *why);
enum err run_gate(int argc, char **argv, struct why *why);
enum err run_audit(int argc, char **argv, struct why *why);
enum err run_verify_evidence(int argc, char **argv, struct why *why);
enum err run_why(int argc, char **argv, struct why *why);

/* The post-build-hook: no arguments, everything from the environment. Its exit status. */
int run_hook(void);
/* The diff-hook: it only says what differed, for the hook's key is not the build user's to read. */
int run_diff_hook(int argc, char **argv);

#endif
