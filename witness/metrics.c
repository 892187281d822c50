/* GET /metrics: Prometheus text. */
#include "lib/sys/metrics.h"
#include "witness/limits.h"
#include "witness/routes.h"

static const char *const outcomes[OUTCOMES] = {
    [OUTCOME_COSIGNED] = "cosigned",       [OUTCOME_OLD_ABOVE] = "old_above_size", [OUTCOME_NOT_SIGNED] = "not_signed",
    [OUTCOME_CONFLICT] = "conflict",       [OUTCOME_UNPROVEN] = "unproven",        [OUTCOME_LIMITED] = "limited",
    [OUTCOME_UNAVAILABLE] = "unavailable",
};

static void requests(struct witness *witness, struct buf *out)
{
    static const char name[] = "stele_witness_requests_total";
    metrics_family(out, name, "counter", "Requests to add-checkpoint with a known origin, by how they ended.");
    for (size_t i = 0; i < witness->logs.n; i++) {
        const struct log *log = witness->logs.items[i];
        for (size_t k = 0; k < OUTCOMES && log->keys_n > 0; k++)
            metrics_value2(out, name, (const char *[]){ "origin", log->origin, "result", outcomes[k] },
                           (double)atomic_load(&log->counts[k]));
    }
}

enum gauge { GAUGE_SIZE, GAUGE_TIME, GAUGE_FORKED, GAUGE_SUSPECTED, GAUGE_SUSPENDED };

/* One gauge of every log that has a note; of what is amiss, those of which it is so. */
static void gauges(struct witness *witness, struct buf *out, const char *name, const char *help, enum gauge gauge)
{
    metrics_family(out, name, "gauge", help);
    for (size_t i = 0; i < witness->logs.n; i++) {
        struct log *log = witness->logs.items[i];
        pthread_mutex_lock(&witness->logs.notes_lock);
        uint64_t value = gauge == GAUGE_SIZE        ? log->size
                         : gauge == GAUGE_TIME      ? log->time_s
                         : gauge == GAUGE_FORKED    ? log->forked
                         : gauge == GAUGE_SUSPECTED ? log->suspected
                                                    : log->suspended;
        bool any = log->keys_n > 0 && (gauge <= GAUGE_TIME ? log->note.len > 0 : value > 0);
        pthread_mutex_unlock(&witness->logs.notes_lock);
        if (any)
            metrics_value(out, name, "origin", log->origin, (double)value);
    }
}

static void waiting(struct witness *witness, struct buf *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < witness->logs.n; i++)
        n += atomic_load(&witness->logs.items[i]->queued);
    metrics_one(out, "stele_witness_waiting", "gauge", "Requests that wait for the signer.", (double)n);
}

static void counter(struct buf *out, const char *name, const char *help, const _Atomic uint64_t *count)
{
    metrics_one(out, name, "counter", help, (double)atomic_load(count));
}

static void bastions(struct witness *witness, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
        bool connected;
        size_t count; /* a uint64_t of the status */
    } families[] = {
        { "stele_witness_bastion_connected", "gauge", "1 while connected.", true, 0 },
        { "stele_witness_bastion_connects_total", "counter", "Connections that came to be.", false,
          offsetof(struct bastion_status, connects) },
        { "stele_witness_bastion_failures_total", "counter", "Connections that did not, or that broke.", false,
          offsetof(struct bastion_status, failures) },
        { "stele_witness_bastion_requests_total", "counter", "Requests that came whole.", false,
          offsetof(struct bastion_status, requests) },
        { "stele_witness_bastion_refused_total", "counter", "Requests refused for their form or size, or as too many.", false,
          offsetof(struct bastion_status, refused) },
        { "stele_witness_bastion_too_slow_total", "counter", "Requests cut off: they, or their answers, took too long.", false,
          offsetof(struct bastion_status, too_slow) },
    };
    struct bastion_status items[BASTIONS_MAX];
    size_t n = bastions_status(witness->bastions, items);
    for (size_t k = 0; k < sizeof families / sizeof *families && n > 0; k++) {
        metrics_family(out, families[k].name, families[k].type, families[k].help);
        for (size_t i = 0; i < n; i++) {
            uint64_t count;
            memcpy(&count, (const char *)&items[i] + families[k].count, sizeof count);
            metrics_value(out, families[k].name, "bastion", items[i].address,
                          families[k].connected ? items[i].connected : (double)count);
        }
    }
}

void metrics_render(struct witness *witness, struct buf *out)
{
    pthread_rwlock_rdlock(&witness->logs.lock);
    requests(witness, out);
    gauges(witness, out, "stele_witness_size", "The size of the newest cosigned checkpoint.", GAUGE_SIZE);
    gauges(witness, out, "stele_witness_time_seconds", "The time of the newest cosignature.", GAUGE_TIME);
    gauges(witness, out, "stele_witness_forked", "1 where DIR/evidence has two heads that contradict each other.", GAUGE_FORKED);
    gauges(witness, out, "stele_witness_suspected", "1 where DIR/suspects has a head whose proof did not hold.", GAUGE_SUSPECTED);
    gauges(witness, out, "stele_witness_suspended", "1 where nothing is cosigned until `resume`.", GAUGE_SUSPENDED);
    waiting(witness, out);
    pthread_rwlock_unlock(&witness->logs.lock);
    counter(out, "stele_witness_malformed_total", "Malformed requests to add-checkpoint.", &witness->malformed);
    counter(out, "stele_witness_unknown_origin_total", "Requests to add-checkpoint for no log of ours.", &witness->unknown_origin);
    counter(out, "stele_witness_address_limited_total", "Requests turned away because their address sent too many.",
            &witness->address_limited);
    counter(out, "stele_witness_queue_full_total", "Requests turned away because too many were waiting.", &witness->queue_full);
    bastions(witness, out);
    metrics_one(out, "stele_witness_signing", "gauge", "1 while the signer works.", committer_works(witness->committer));
}
