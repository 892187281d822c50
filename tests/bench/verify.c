/*
 * Proof bundles a second, on one core and on two: verify N
 * Makes a log of N attestations, two witnesses and a policy in memory, and verifies a bundle each: proof, inclusion, envelope
 * signature and statement; checkpoint and cosignatures once, for they are shared. In turn with the limit: the N signatures alone, on
 * one core and on two: what a virtual host gives two of its processors at once is no part of the figure that is wanted.
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
#include "tests/must.h"

enum { N_MAX = 100000, ATTESTATION_INPUTS = 2, ROUNDS = 7, THREADS = 2 };

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
    struct evidence evidence = { .lean = true }; /* as `stele verify` has it */
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

struct signatures {
    pthread_t thread;
    const struct signed_one *items;
    size_t n;
};

static void *verify_signatures(void *ctx)
{
    const struct signatures *signatures = ctx;
    for (size_t i = 0; i < signatures->n; i++) {
        const struct signed_one *one = &signatures->items[i];
        must(ed25519_verify(one->envelope.sig, span_buf(&one->message), one->envelope.key.key) ? OK : ERR_REFUSED,
             &(struct why){ "a signature does not verify" });
    }
    return NULL;
}

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

/* How long the two halves take at once. */
static double together_us(void *(*run)(void *), pthread_t *threads[THREADS], void *halves[THREADS])
{
    uint64_t from_us = clock_monotonic_us();
    for (size_t t = 0; t < THREADS; t++)
        pthread_create(threads[t], NULL, run, halves[t]);
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(*threads[t], NULL);
    return (double)(clock_monotonic_us() - from_us);
}

/* How long one takes alone; *cpu by the time of its thread. */
static double alone_us(void *(*run)(void *), const void *all, double *cpu)
{
    uint64_t from_us = clock_monotonic_us();
    double from_s = cpu_s();
    run((void *)(uintptr_t)all);
    *cpu = cpu_s() - from_s;
    return (double)(clock_monotonic_us() - from_us);
}

static void measure(const struct signatures *signatures, struct signatures signed_halves[THREADS], const struct share *all,
                    struct share halves[THREADS])
{
    double limit[ROUNDS], bundles[ROUNDS], share[ROUNDS], one[ROUNDS], speedup[ROUNDS], limit_speedup[ROUNDS], n = (double)all->n;
    for (size_t r = 0; r < ROUNDS; r++) {
        double cpu;
        double us = alone_us(verify_signatures, signatures, &cpu);
        limit[r] = n / cpu;
        limit_speedup[r] =
            us / together_us(verify_signatures, (pthread_t *[]){ &signed_halves[0].thread, &signed_halves[1].thread },
                             (void *[]){ &signed_halves[0], &signed_halves[1] });
        us = alone_us(verify_share, all, &cpu);
        bundles[r] = n / cpu;
        share[r] = 100 * bundles[r] / limit[r];
        one[r] = n * 1e6 / us;
        speedup[r] = us / together_us(verify_share, (pthread_t *[]){ &halves[0].thread, &halves[1].thread },
                                      (void *[]){ &halves[0], &halves[1] });
    }
    printf("limit_cpu_s %.0f\nbundles_cpu_s %.0f\nshare_percent %.1f\nbundles_s %.0f\n", median(limit), median(bundles),
           median(share), median(one));
    printf("two_cores %.2f\nlimit_two_cores %.2f\n", median(speedup), median(limit_speedup));
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
    struct signatures all_signatures = { .items = signatures, .n = n };
    struct signatures signed_halves[THREADS] = { { .items = signatures, .n = n / THREADS },
                                                 { .items = signatures + n / THREADS, .n = n - n / THREADS } };
    measure(&all_signatures, signed_halves, &all, halves);
    printf("bundle_bytes %zu\n", bundles.len / n);
    return 0;
}
