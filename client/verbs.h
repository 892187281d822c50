/*
 * The verbs of `stele`, a file each; the table is in client/main.c.
 */
#ifndef STELE_CLIENT_VERBS_H
#define STELE_CLIENT_VERBS_H

#include "lib/why.h"

enum err run_keygen(int argc, char **argv, struct why *why);
enum err run_attest(int argc, char **argv, struct why *why);
enum err run_deliver(int argc, char **argv, struct why *why);
enum err run_status(int argc, char **argv, struct why *why);
enum err run_staple(int argc, char **argv, struct why *why);
enum err run_proofs(int argc, char **argv, struct why *why);
enum err run_submit(int argc, char **argv, struct why *why);
enum err run_verify(int argc, char **argv, struct why *why);
enum err run_gate(int argc, char **argv, struct why *why);
enum err run_trace(int argc, char **argv, struct why *why);
enum err run_audit(int argc, char **argv, struct why *why);
enum err run_verify_evidence(int argc, char **argv, struct why *why);
enum err run_why(int argc, char **argv, struct why *why);
enum err run_trust(int argc, char **argv, struct why *why);
enum err run_setup(int argc, char **argv, struct why *why);
enum err run_doctor(int argc, char **argv, struct why *why);
enum err run_sign_agent(int argc, char **argv, struct why *why);

#endif
