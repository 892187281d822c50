/*
 * Proof bundles a second, one core: verify N
 * Makes a log of N attestations, two witnesses and a policy in memory, and verifies a bundle each: proof, inclusion, envelope
 * signature and statement; checkpoint and cosignatures once, for they are shared.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/evidence.h"
#include "lib/sys/clock.h"
#include "tests/attestation.h"
#include "tests/memory_log.h"

enum { N_MAX = 100000, ATTESTATION_INPUTS = 2 };

static void must(enum err err, const struct why *why)
{
    if (err == OK)
        return;
    fprintf(stderr, "verify: %s\n", why->text);
    exit(1);
}

static struct secret_key *new_key(const char *name, enum sig_type type)
{
    struct secret_key *key;
    struct why why;
    must(secret_key_new(&key, span_str(name), type, &why), &why);
    return key;
}

int main(int argc, char **argv)
{
    struct why why;
    size_t n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (n == 0 || n > N_MAX) {
        fprintf(stderr, "usage: verify N\n");
        return 2;
    }
    must(key_system_start(&why), &why);
    struct secret_key *builder = new_key("bench.example/builder", SIG_ED25519);
    struct buf *entries = calloc(n, sizeof *entries), bundles = BUF_EMPTY;
    struct memory_log log;
    for (size_t i = 0; i < n; i++) {
        must(test_attestation(&entries[i], builder, i, ATTESTATION_INPUTS, &why), &why);
        entries[i].len--; /* the line's newline is not the entry's */
    }
    memory_log_make(&log, entries, n);
    for (size_t i = 0; i < n; i++)
        memory_log_bundle(&log, i, &bundles);
    struct evidence evidence = { 0 };
    uint64_t from_us = clock_monotonic_us();
    must(evidence_add(&evidence, span_buf(&bundles), "bench", &log.policy, NULL, &why), &why);
    double seconds = (double)(clock_monotonic_us() - from_us) / 1e6;
    for (size_t i = 0; i < evidence.n; i++)
        must(evidence.items[i]->proven ? OK : ERR_REFUSED, &evidence.items[i]->why_not);
    printf("bundles_s %.0f\nbundle_bytes %zu\n", (double)evidence.n / seconds, bundles.len / n);
    return evidence.n == n ? 0 : 1;
}
