/*
 * A log in memory, with two witnesses and a policy that wants both: for tests and benchmarks of what is verified.
 */
#ifndef STELE_TESTS_MEMORY_LOG_H
#define STELE_TESTS_MEMORY_LOG_H

#include "lib/policy.h"
#include "lib/sys/key.h"

#define MEMORY_LOG_ORIGIN "test.example/log"

enum { MEMORY_LOG_WITNESSES = 2 };

struct memory_log {
    struct buf *entries; /* envelopes, without newlines */
    uint64_t n;
    struct hash *levels[64];
    struct secret_key *key, *witnesses[MEMORY_LOG_WITNESSES];
    bool other_key, other_witnesses; /* they are another log's */
    struct buf note, policy_text;    /* the signed head, and the policy that it satisfies */
    struct policy policy;
};

/* Ends the process where it fails. The entries stay the caller's. */
void memory_log_make(struct memory_log *out, struct buf *entries, uint64_t n);
/* The log `origin` under the witnesses of `first`, which must outlive it and stands in its policy as well; where `origin` is NULL
 * another history of `first` itself. */
void memory_log_make_beside(struct memory_log *out, const struct memory_log *first, const char *origin, struct buf *entries,
                            uint64_t n);
void memory_log_free(struct memory_log *log);
/* Appends the proof bundle of entry `index`. */
void memory_log_bundle(const struct memory_log *log, uint64_t index, struct buf *out);

#endif
