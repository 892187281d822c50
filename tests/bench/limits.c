/*
 * What this machine can do at most, for the ratios of `make bench`: limits DIR
 * prints "name value" lines: Ed25519 verifications and signatures a second (one core), SHA-256 of a node's 65 bytes, and
 * fdatasync of a 4 KiB append in DIR: a second, p50 and p99 in ms.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/hash.h"
#include "lib/merkle.h"
#include "lib/sys/clock.h"

enum { MESSAGE_BYTES = 1500, SYNCS = 400, FOR_US = 1000 * 1000 };

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

int main(int argc, char **argv)
{
    if (argc != 2 || sodium_init() < 0) {
        fprintf(stderr, "usage: limits DIR\n");
        return 2;
    }
    uint8_t public_key[32], secret_key[64], sig[64], message[MESSAGE_BYTES];
    randombytes_buf(message, sizeof message);
    crypto_sign_keypair(public_key, secret_key);
    uint64_t n = 0, started = clock_monotonic_us(), now;
    do {
        crypto_sign_detached(sig, NULL, message, sizeof message, secret_key);
        n++;
    } while ((now = clock_monotonic_us()) - started < FOR_US);
    printf("sign_s %.0f\n", (double)n * 1e6 / (double)(now - started));
    n = 0;
    started = clock_monotonic_us();
    do {
        if (!ed25519_verify(sig, span_of(message, sizeof message), public_key))
            return 1;
        n++;
    } while ((now = clock_monotonic_us()) - started < FOR_US);
    printf("verify_s %.0f\n", (double)n * 1e6 / (double)(now - started));
    struct hash hash = sha256_of(span_of(message, sizeof message));
    n = 0;
    started = clock_monotonic_us();
    do {
        for (int i = 0; i < 1000; i++)
            hash = merkle_node_hash(&hash, &hash);
        n += 1000;
    } while ((now = clock_monotonic_us()) - started < FOR_US);
    printf("node_hash_s %.0f\n", (double)n * 1e6 / (double)(now - started));
    return syncs(argv[1]);
}
