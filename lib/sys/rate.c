#include "lib/sys/rate.h"

#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

enum { SETS = 4096, WAYS = 8, LOCKS = 64 };

/* A key's debt is paid off at `clear_us`: all that there is to know of it. */
struct debt {
    uint64_t key, clear_us;
};

struct rate {
    struct allowance allowance;
    uint8_t secret[crypto_shorthash_KEYBYTES];
    pthread_mutex_t locks[LOCKS];
    struct debt sets[SETS][WAYS];
};

struct allowance allowance_of(uint64_t units, uint64_t in_us)
{
    double us_per_unit = (double)in_us / (double)units;
    return (struct allowance){ us_per_unit, (uint64_t)((double)(units - 1) * us_per_unit) + 1 };
}

uint64_t allowance_wait_ms(const struct allowance *allowance, uint64_t clear_us, uint64_t now_us)
{
    uint64_t debt_us = clear_us > now_us ? clear_us - now_us : 0;
    return debt_us < allowance->burst_us || debt_us == 0 ? 0 : (debt_us - allowance->burst_us) / 1000 + 1;
}

void allowance_take(const struct allowance *allowance, uint64_t *clear_us, uint64_t units, uint64_t now_us)
{
    *clear_us = (*clear_us > now_us ? *clear_us : now_us) + (uint64_t)((double)units * allowance->us_per_unit);
}

enum err rate_new(struct rate **out, uint64_t per_s, uint64_t burst, struct why *why)
{
    *out = NULL;
    struct rate *rate = calloc(1, sizeof *rate);
    if (rate == NULL)
        return fail(why, ERR_ENV, "out of memory");
    rate->allowance.us_per_unit = 1e6 / (double)per_s;
    rate->allowance.burst_us = (uint64_t)((double)burst * rate->allowance.us_per_unit);
    randombytes_buf(rate->secret, sizeof rate->secret);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&rate->locks[i], NULL);
    *out = rate;
    return OK;
}

void rate_free(struct rate *rate)
{
    if (rate == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&rate->locks[i]);
    free(rate);
}

static uint64_t place(const struct rate *rate, struct span key)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key.data, key.len, rate->secret);
    return get_be64(hash);
}

uint64_t rate_wait_ms(struct rate *rate, struct span key, uint64_t now_us)
{
    uint64_t hash = place(rate, key), clear_us = 0;
    size_t set = hash % SETS;
    pthread_mutex_lock(&rate->locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS; i++)
        if (rate->sets[set][i].key == hash)
            clear_us = rate->sets[set][i].clear_us;
    pthread_mutex_unlock(&rate->locks[set % LOCKS]);
    return allowance_wait_ms(&rate->allowance, clear_us, now_us);
}

void rate_take(struct rate *rate, struct span key, uint64_t units, uint64_t now_us)
{
    uint64_t hash = place(rate, key);
    size_t set = hash % SETS;
    pthread_mutex_lock(&rate->locks[set % LOCKS]);
    struct debt *debt = &rate->sets[set][0];
    for (size_t i = 0; i < WAYS && debt->key != hash; i++)
        if (rate->sets[set][i].key == hash || rate->sets[set][i].clear_us < debt->clear_us)
            debt = &rate->sets[set][i];
    if (debt->key != hash)
        *debt = (struct debt){ .key = hash };
    allowance_take(&rate->allowance, &debt->clear_us, units, now_us);
    pthread_mutex_unlock(&rate->locks[set % LOCKS]);
}
