/*
 * Attestations for tests and benchmarks.
 */
#ifndef STELE_TESTS_ATTESTATION_H
#define STELE_TESTS_ATTESTATION_H

#include "lib/sys/key.h"

enum { TEST_INPUTS_MAX = 20000 };

/* Appends JSON lines as the log takes them: one attestation by `key`, always of the same bytes for the same number, whose
 * statement has so many inputs. With another number of inputs the same output has another hash: the two contradict each other.
 * Where the inputs do not fit, their list comes first, on a line of its own. */
enum err test_attestation(struct buf *lines, const struct secret_key *key, uint64_t number, size_t inputs_n, struct why *why);
/* The same with zeros in place of the signature. */
enum err test_attestation_unsigned(struct buf *lines, const struct secret_key *key, uint64_t number, size_t inputs_n,
                                   struct why *why);
/* Its output: /nix/store/HASHPART-pkg-NUMBER. */
void test_attestation_path(struct buf *out, uint64_t number);

#endif
