/*
 * Proof bundles a second, on one core and on two: verify N
 * Makes a log of N attestations, two witnesses and a policy in memory, and verifies a bundle each: proof, inclusion, envelope
 * signature and statement; checkpoint and cosignatures once, for they are shared. In turn with the limit: the N signatures alone.
 * `_cpu` figures are by the CPU time of the thread that works, so that others on the machine do not count; medians of ROUNDS.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/evidence.h"
#include "lib/sys/clock.h"
#include "tests/attestation.h"
#include "tests/memory_log.h"

enum { N_MAX = 100000, ATTESTATION_INPUTS = 2, ROUNDS = 7, THREADS = 2 };

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

/* A share of the bundles, for one thread. */
struct share {
    pthread_t thread;
    const struct policy *policy;
    struct span bundles;
    size_t n;
};

static void *verify_share(void *ctx)
{
    const struct share *share = ctx;
    struct evidence evidence = { 0 };
    struct span rest = share->bundles;
    struct why why;
    size_t n = 0;
    for (; rest.len > 0; n++) {
        must(evidence_add_one(&evidence, &rest, "bench", share->policy, NULL, &why), &why);
        must(evidence.items[0]->proven ? OK : ERR_REFUSED, &evidence.items[0]->why_not);
        evidence_clear(&evidence);
    }
    must(n == share->n ? OK : fail(&why, ERR_REFUSED, "%zu bundles, not %zu", n, share->n), &why);
    evidence_free(&evidence);
    return NULL;
}

/* The signatures alone, over what was signed. */
struct signed_one {
    struct buf message;
    struct envelope envelope;
};

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void measure(struct signed_one *signatures, size_t n, const struct share *all, struct share halves[THREADS])
{
    double limit[ROUNDS], bundles[ROUNDS], share[ROUNDS], one[ROUNDS], speedup[ROUNDS];
    for (size_t r = 0; r < ROUNDS; r++) {
        double from_s = cpu_s();
        for (size_t i = 0; i < n; i++)
            must(ed25519_verify(signatures[i].envelope.sig, span_buf(&signatures[i].message), signatures[i].envelope.key.key)
                     ? OK
                     : ERR_REFUSED,
                 &(struct why){ "a signature does not verify" });
        limit[r] = (double)n / (cpu_s() - from_s);
        uint64_t from_us = clock_monotonic_us();
        from_s = cpu_s();
        verify_share((void *)(uintptr_t)all);
        bundles[r] = (double)n / (cpu_s() - from_s);
        share[r] = 100 * bundles[r] / limit[r];
        uint64_t one_us = clock_monotonic_us() - from_us;
        one[r] = (double)n * 1e6 / (double)one_us;
        from_us = clock_monotonic_us();
        for (size_t t = 0; t < THREADS; t++)
            pthread_create(&halves[t].thread, NULL, verify_share, &halves[t]);
        for (size_t t = 0; t < THREADS; t++)
            pthread_join(halves[t].thread, NULL);
        speedup[r] = (double)one_us / (double)(clock_monotonic_us() - from_us);
    }
    printf("limit_cpu_s %.0f\nbundles_cpu_s %.0f\nshare_percent %.1f\nbundles_s %.0f\ntwo_cores %.2f\n", median(limit),
           median(bundles), median(share), median(one), median(speedup));
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
    struct signed_one *signatures = calloc(n, sizeof *signatures);
    size_t half_at = 0;
    for (size_t i = 0; i < n; i++) {
        struct buf payload = BUF_EMPTY;
        if (i == n / THREADS)
            half_at = bundles.len;
        memory_log_bundle(&log, i, &bundles);
        must(envelope_parse(&signatures[i].envelope, span_buf(&entries[i]), &payload, &why), &why);
        dsse_pae(&signatures[i].message, span_str(IN_TOTO_TYPE), signatures[i].envelope.payload);
        buf_free(&payload);
    }
    struct share all = { .policy = &log.policy, .bundles = span_buf(&bundles), .n = n };
    struct share halves[THREADS] = {
        { .policy = &log.policy, .bundles = span_cut(all.bundles, 0, half_at), .n = n / THREADS },
        { .policy = &log.policy, .bundles = span_cut(all.bundles, half_at, bundles.len - half_at), .n = n - n / THREADS },
    };
    measure(signatures, n, &all, halves);
    printf("bundle_bytes %zu\n", bundles.len / n);
    return 0;
}
