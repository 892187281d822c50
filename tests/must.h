/*
 * For programs of tests and benchmarks that cannot go on: ends the process with what is wrong.
 */
#ifndef STELE_TESTS_MUST_H
#define STELE_TESTS_MUST_H

#include "lib/sys/key.h"

void must(enum err err, const struct why *why);
/* A new key; ends the process where none is made. The caller frees it. */
struct secret_key *new_key(const char *name, enum sig_type type);

#endif
