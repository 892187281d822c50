#include "witness/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/random.h>

#include "witness/limits.h"

#define DAY_MS 86400000.0

static void fill(struct bucket *bucket, double capacity, double per_ms, uint64_t now_ms)
{
    if (bucket->since_ms == 0)
        bucket->level = capacity;
    else if (now_ms > bucket->since_ms)
        bucket->level += (double)(now_ms - bucket->since_ms) * per_ms;
    if (bucket->level > capacity)
        bucket->level = capacity;
    bucket->since_ms = now_ms;
}

bool quota_allows(struct quota *quota, bool grows, uint64_t qpd, uint64_t now_ms, unsigned *wait_s)
{
    struct bucket *bucket = grows ? &quota->growth : &quota->other;
    double per_ms = (double)qpd / DAY_MS;
    fill(bucket, (double)qpd, per_ms, now_ms);
    if (bucket->level >= 1)
        return true;
    *wait_s = 1 + (unsigned)((1 - bucket->level) / per_ms / 1000);
    return false;
}

void quota_take(struct quota *quota, bool grew, uint64_t qpd, uint64_t now_ms)
{
    struct bucket *bucket = grew ? &quota->growth : &quota->other;
    fill(bucket, (double)qpd, (double)qpd / DAY_MS, now_ms);
    /* Requests that were under way together may overdraw it: bounded by what waits before the committer. */
    bucket->level -= 1;
}

struct place {
    uint64_t key;
    struct bucket bucket;
};

struct addresses {
    uint64_t per_s, secret;
    pthread_mutex_t lock;
    struct place places[ADDRESSES_MAX / ADDRESS_WAYS][ADDRESS_WAYS];
};

struct addresses *addresses_new(uint64_t per_s)
{
    struct addresses *addresses = calloc(1, sizeof *addresses);
    if (addresses == NULL)
        return NULL;
    addresses->per_s = per_s;
    pthread_mutex_init(&addresses->lock, NULL);
    if (getrandom(&addresses->secret, sizeof addresses->secret, 0) != sizeof addresses->secret)
        addresses->secret = (uint64_t)(uintptr_t)addresses; /* places are then easier to guess, no more */
    return addresses;
}

void addresses_free(struct addresses *addresses)
{
    if (addresses == NULL)
        return;
    pthread_mutex_destroy(&addresses->lock);
    free(addresses);
}

/* The address's bits that count, never 0. */
static uint64_t key_of(const char *address)
{
    uint8_t bytes[16] = { 0 };
    uint64_t key = 0;
    if (strncmp(address, "::ffff:", 7) == 0 && strchr(address, '.') != NULL)
        address += 7; /* IPv4 on a socket for both */
    size_t n = inet_pton(AF_INET, address, bytes) == 1 ? 4 : inet_pton(AF_INET6, address, bytes) == 1 ? 8 : 0;
    for (size_t i = 0; i < n; i++)
        key = key << 8 | bytes[i];
    return key ^ (n == 4 ? 1ull << 63 | 1ull << 32 : 1ull << 62);
}

bool addresses_take(struct addresses *addresses, const char *address, double cost, uint64_t now_ms)
{
    if (addresses->per_s == 0)
        return true;
    double capacity = 2.0 * (double)addresses->per_s;
    uint64_t key = key_of(address), mixed = (key ^ addresses->secret) * 0x9e3779b97f4a7c15ull;
    pthread_mutex_lock(&addresses->lock);
    struct place *ways = addresses->places[(mixed >> 32) % (ADDRESSES_MAX / ADDRESS_WAYS)], *place = &ways[0];
    for (size_t i = 0; i < ADDRESS_WAYS; i++) {
        if (ways[i].key == key) {
            place = &ways[i];
            break;
        }
        if (ways[i].bucket.since_ms < place->bucket.since_ms)
            place = &ways[i];
    }
    if (place->key != key)
        *place = (struct place){ .key = key };
    fill(&place->bucket, capacity, (double)addresses->per_s / 1000, now_ms);
    bool has = place->bucket.level >= cost;
    if (has)
        place->bucket.level -= cost;
    pthread_mutex_unlock(&addresses->lock);
    return has;
}

bool address_is_loopback(const char *address)
{
    struct in_addr four;
    return inet_pton(AF_INET, address, &four) == 1 ? ntohl(four.s_addr) >> 24 == 127
                                                   : strcmp(address, "::1") == 0 || strncmp(address, "::ffff:127.", 11) == 0;
}
