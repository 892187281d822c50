/*
 * What this machine can do at most, for the ratios of `make bench`: limits DIR
 * prints "name value" lines: Ed25519 verifications a second of all cores at once, and of one of them then, and the CPU time of
 * one verification; SHA-256 of a node's 65 bytes a second, and of long texts in MB (one core); fdatasync of a 4 KiB append in DIR:
 * a second, p50 and p99 in ms.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/hash.h"
#include "lib/merkle.h"
#include "lib/sys/clock.h"

enum { MESSAGE_BYTES = 1500, SYNCS = 400, FOR_US = 1000 * 1000, CORES_MAX = 16, SIGNATURES = 1024 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int syncs(const char *dir)
{
    char path[4096];
    static uint8_t page[4096];
    static double took_ms[SYNCS];
    snprintf(path, sizeof path, "%s/sync", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    uint64_t started = clock_monotonic_us();
    for (size_t i = 0; i < SYNCS; i++) {
        uint64_t from = clock_monotonic_us();
        if (write(fd, page, sizeof page) != sizeof page || fdatasync(fd) != 0) {
            perror(path);
            return 1;
        }
        took_ms[i] = (double)(clock_monotonic_us() - from) / 1000;
    }
    double seconds = (double)(clock_monotonic_us() - started) / 1e6;
    close(fd);
    unlink(path);
    qsort(took_ms, SYNCS, sizeof *took_ms, by_value);
    printf("fdatasync_s %.0f\nfdatasync_p50_ms %.3f\nfdatasync_p99_ms %.3f\n", SYNCS / seconds, took_ms[SYNCS / 2],
           took_ms[SYNCS * 99 / 100]);
    return 0;
}

struct verifier {
    pthread_t thread;
    uint8_t public_key[32];
    /* Many, for the processor learns the way of one by heart. */
    uint8_t messages[SIGNATURES][MESSAGE_BYTES], sigs[SIGNATURES][64];
    uint64_t n, cpu_us;
};

static uint64_t thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *verify(void *ctx)
{
    struct verifier *verifier = ctx;
    uint64_t started = clock_monotonic_us(), cpu_us = thread_cpu_us();
    do {
        size_t i = verifier->n++ % SIGNATURES;
        if (!ed25519_verify(verifier->sigs[i], span_of(verifier->messages[i], MESSAGE_BYTES), verifier->public_key))
            exit(1);
    } while (clock_monotonic_us() - started < FOR_US);
    verifier->cpu_us = thread_cpu_us() - cpu_us;
    return NULL;
}

static void sign_all(struct verifier *verifier)
{
    uint8_t secret_key[64];
    crypto_sign_keypair(verifier->public_key, secret_key);
    for (size_t i = 0; i < SIGNATURES; i++) {
        randombytes_buf(verifier->messages[i], MESSAGE_BYTES);
        crypto_sign_detached(verifier->sigs[i], NULL, verifier->messages[i], MESSAGE_BYTES, secret_key);
    }
}

/* On all cores at once, as the log does. */
static void verifications(void)
{
    static struct verifier verifiers[CORES_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = 0, cpu_us = 0, started;
    cores = cores < 1 ? 1 : cores > CORES_MAX ? CORES_MAX : cores;
    for (long i = 0; i < cores; i++)
        sign_all(&verifiers[i]);
    started = clock_monotonic_us();
    for (long i = 0; i < cores; i++)
        if (pthread_create(&verifiers[i].thread, NULL, verify, &verifiers[i]) != 0)
            exit(1);
    for (long i = 0; i < cores; i++) {
        pthread_join(verifiers[i].thread, NULL);
        n += verifiers[i].n;
        cpu_us += verifiers[i].cpu_us;
    }
    double rate = (double)n * 1e6 / (double)(clock_monotonic_us() - started);
    printf("cores %ld\nverify_all_s %.0f\nverify_s %.0f\nverify_cpu_us %.2f\n", cores, rate, rate / (double)cores,
           (double)cpu_us / (double)n);
}

static void node_hashes(void)
{
    struct hash hash = { { 1 } };
    uint64_t n = 0, started = clock_monotonic_us(), now;
    do {
        for (int i = 0; i < 1000; i++)
            hash = merkle_node_hash(&hash, &hash);
        n += 1000;
    } while ((now = clock_monotonic_us()) - started < FOR_US);
    printf("node_hash_s %.0f\n", (double)n * 1e6 / (double)(now - started));
}

static void long_hashes(void)
{
    static uint8_t text[1 << 20];
    struct sha256 state;
    uint64_t n = 0, started = clock_monotonic_us(), now;
    sha256_start(&state);
    do {
        sha256_add(&state, text, sizeof text);
        n += sizeof text;
    } while ((now = clock_monotonic_us()) - started < FOR_US);
    text[0] = sha256_end(&state).b[0];
    printf("sha256_mb_s %.0f\n", (double)n / (double)(now - started));
}

int main(int argc, char **argv)
{
    if (argc != 2 || sodium_init() < 0) {
        fprintf(stderr, "usage: limits DIR\n");
        return 2;
    }
    verifications();
    node_hashes();
    long_hashes();
    return syncs(argv[1]);
}
