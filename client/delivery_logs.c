#include <stdlib.h>

#include <sodium.h>

#include "client/delivery.h"
#include "lib/sys/clock.h"

enum err delivery_logs_open(struct delivery *delivery, struct why *why)
{
    size_t n = 0;
    struct delivery_log *logs = calloc(delivery->policy.logs_n + 1, sizeof *logs);
    if (logs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < delivery->policy.logs_n; i++)
        if ((n == 0 || delivery->config.log_url == NULL) && proofs_log_url(&delivery->config, &delivery->policy, i, &logs[n].url))
            logs[n++].number = i;
    free(delivery->logs);
    delivery->logs = logs;
    delivery->logs_n = n;
    return n == 0 ? post_no_log(&delivery->config, why) : OK;
}

bool delivery_log_take(struct delivery *delivery, size_t log)
{
    struct delivery_log *of = &delivery->logs[log];
    pthread_mutex_lock(&delivery->lock);
    bool ready = clock_monotonic_ms() >= of->not_before_ms && !(of->failing && of->probing);
    of->probing |= ready && of->failing;
    pthread_mutex_unlock(&delivery->lock);
    return ready;
}

void delivery_log_worked(struct delivery *delivery, size_t log)
{
    struct delivery_log *of = &delivery->logs[log];
    pthread_mutex_lock(&delivery->lock);
    of->failing = of->probing = false;
    of->backoff_ms = of->not_before_ms = 0;
    pthread_mutex_unlock(&delivery->lock);
}

void delivery_log_failed(struct delivery *delivery, size_t log, uint64_t wait_ms, const struct why *why)
{
    struct delivery_log *of = &delivery->logs[log];
    pthread_mutex_lock(&delivery->lock);
    uint64_t now_ms = clock_monotonic_ms();
    /* Of several that fail at once, one counts. */
    if (now_ms >= of->not_before_ms) {
        of->backoff_ms = of->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * of->backoff_ms;
        if (of->backoff_ms > BACKOFF_MAX_MS)
            of->backoff_ms = BACKOFF_MAX_MS;
        /* Half to one and a half of it, so that many builders do not come at once. */
        of->not_before_ms = now_ms + of->backoff_ms / 2 + randombytes_uniform((uint32_t)of->backoff_ms);
    }
    if (of->not_before_ms < now_ms + wait_ms)
        of->not_before_ms = now_ms + wait_ms;
    of->failing = true;
    of->probing = false;
    of->why = *why;
    delivery->why_waiting = *why;
    pthread_mutex_unlock(&delivery->lock);
}

uint64_t delivery_logs_due_ms(struct delivery *delivery)
{
    uint64_t due_ms = UINT64_MAX;
    pthread_mutex_lock(&delivery->lock);
    for (size_t i = 0; i < delivery->logs_n; i++)
        if (delivery->logs[i].not_before_ms < due_ms)
            due_ms = delivery->logs[i].not_before_ms;
    pthread_mutex_unlock(&delivery->lock);
    return due_ms <= clock_monotonic_ms() ? 0 : due_ms;
}
