#include "log/admission.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/rate.h"
#include "log/limits.h"

const unsigned admission_statuses[] = { 400, 403, 413, 429, 503, 0 };

enum err admission_start(struct admission *admission, const struct log_config *config, struct builders *builders, struct why *why)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP); /* submissions never stop coming */
    pthread_rwlock_init(&admission->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    admission->proxy = config->proxy;
    enum err err = rate_new(&admission->forgeries, FORGERIES_RATE, FORGERIES_BURST, why);
    if (err == OK && config->builder_rate > 0)
        err = rate_new(&admission->keys, config->builder_rate, config->builder_burst, why);
    if (err == OK && config->address_rate > 0)
        err = rate_new(&admission->addresses, config->address_rate, config->address_burst, why);
    if (err == OK)
        err = workers_start(&admission->suspects, 1, SUSPECTS_MAX, NULL, NULL, why);
    if (err == OK)
        admission->builders = builders;
    return err;
}

static void drop(struct builders *builders)
{
    if (builders != NULL)
        builders_free(builders);
    free(builders);
}

void admission_stop(struct admission *admission)
{
    workers_stop(admission->suspects);
    drop(admission->builders);
    rate_free(admission->keys);
    rate_free(admission->addresses);
    rate_free(admission->forgeries);
    pthread_rwlock_destroy(&admission->lock);
}

void admission_use_builders(struct admission *admission, struct builders *builders)
{
    pthread_rwlock_wrlock(&admission->lock);
    struct builders *before = admission->builders;
    admission->builders = builders;
    pthread_rwlock_unlock(&admission->lock);
    drop(before);
}

void admission_count(struct admission *admission, unsigned status)
{
    for (size_t i = 0; admission_statuses[i] != 0; i++)
        if (admission_statuses[i] == status)
            atomic_fetch_add_explicit(&admission->refused[i], 1, memory_order_relaxed);
}

static unsigned retry_after_s(uint64_t wait_ms)
{
    return (unsigned)((wait_ms + 999) / 1000);
}

enum admit admission_ask(struct admission *admission, struct http_request *request)
{
    uint64_t party = http_party(request, admission->proxy), now_us = clock_monotonic_us();
    struct span key = span_of(&party, sizeof party);
    uint64_t wait_ms = admission->addresses == NULL ? 0 : rate_wait_ms(admission->addresses, key, now_us);
    if (wait_ms > 0) {
        admission_count(admission, 429);
        http_reply_problem(request, 429, retry_after_s(wait_ms), "your address has submitted as much as this log takes of one");
        return ADMIT_REFUSED;
    }
    return rate_wait_ms(admission->forgeries, key, now_us) == 0 ? ADMIT_TRUSTED : ADMIT_SUSPECT;
}

static uint64_t count_lines(struct span body)
{
    uint64_t lines = 1;
    for (ptrdiff_t at; (at = span_find(body, '\n')) >= 0 && (size_t)at + 1 < body.len; lines++)
        body = span_cut(body, (size_t)at + 1, body.len - (size_t)at - 1);
    return lines;
}

/* Entries of one builder stand together, nearly always. */
static void charge(struct rate *keys, const struct store_part *part, uint64_t now_us)
{
    for (size_t i = 0, n; keys != NULL && i < part->n; i += n) {
        const struct hash *builder = &part->entries[i].builder;
        for (n = 1; i + n < part->n && hash_eq(&part->entries[i + n].builder, builder);)
            n++;
        rate_take(keys, span_of(builder->b, sizeof builder->b), n, now_us);
    }
}

struct submission *admission_read(struct admission *admission, struct http_request *request, struct store *store,
                                  struct histogram *took)
{
    uint64_t party = http_party(request, admission->proxy), now_us = clock_monotonic_us();
    struct span body = http_body(request), address = span_of(&party, sizeof party);
    struct submission *submission;
    struct submission_refusal refusal;
    struct why why;
    if (admission->addresses != NULL)
        rate_take(admission->addresses, address, count_lines(body), now_us);
    pthread_rwlock_rdlock(&admission->lock);
    struct submission_rules rules = { .builders = admission->builders, .rate = admission->keys };
    enum err err = submission_parse(&submission, body, &rules, store, &refusal, &why);
    pthread_rwlock_unlock(&admission->lock);
    histogram_add(took, clock_monotonic_us() - now_us);
    if (err == OK) {
        charge(admission->keys, &submission->part, now_us);
        submission->request = request;
        return submission;
    }
    if (refusal.forged)
        rate_take(admission->forgeries, address, 1, now_us);
    admission_count(admission, refusal.status);
    unsigned retry_s = refusal.status == 503 ? RETRY_AFTER_S : refusal.status == 429 ? retry_after_s(refusal.wait_ms) : 0;
    http_reply_problem(request, refusal.status, retry_s, "%s", why.text);
    return NULL;
}
