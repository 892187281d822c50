/* GET /metrics: Prometheus text. */
#include "witness/routes.h"

static const char *const outcomes[OUTCOMES] = {
    [OUTCOME_COSIGNED] = "cosigned", [OUTCOME_OLD_ABOVE] = "old_above_size", [OUTCOME_NOT_SIGNED] = "not_signed",
    [OUTCOME_CONFLICT] = "conflict", [OUTCOME_UNPROVEN] = "unproven",        [OUTCOME_LIMITED] = "limited",
    [OUTCOME_UNAVAILABLE] = "unavailable",
};

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: no origin has a newline. */
static void origin_label(struct buf *out, const char *origin)
{
    buf_str(out, "{origin=\"");
    for (; *origin != '\0'; origin++) {
        if (*origin == '"' || *origin == '\\')
            buf_byte(out, '\\');
        buf_byte(out, (uint8_t)*origin);
    }
    buf_byte(out, '"');
}

static void count(struct buf *out, const char *name, const char *help, uint64_t value)
{
    head(out, name, "counter", help);
    buf_fmt(out, "%s %llu\n", name, (unsigned long long)value);
}

enum gauge { GAUGE_SIZE, GAUGE_TIME, GAUGE_FORKED, GAUGE_SUSPECTED, GAUGE_SUSPENDED };

/* One gauge of every log that has a note; of what is amiss, those of which it is so. */
static void gauges(struct witness *witness, struct buf *out, const char *name, const char *help, enum gauge gauge)
{
    head(out, name, "gauge", help);
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
        if (!any)
            continue;
        buf_str(out, name);
        origin_label(out, log->origin);
        buf_fmt(out, "} %llu\n", (unsigned long long)value);
    }
}

void metrics_render(struct witness *witness, struct buf *out)
{
    pthread_rwlock_rdlock(&witness->logs.lock);
    head(out, "stele_witness_requests_total", "counter", "Requests to add-checkpoint with a known origin, by how they ended.");
    for (size_t i = 0; i < witness->logs.n; i++) {
        const struct log *log = witness->logs.items[i];
        for (size_t k = 0; k < OUTCOMES && log->keys_n > 0; k++) {
            buf_str(out, "stele_witness_requests_total");
            origin_label(out, log->origin);
            buf_fmt(out, ",result=\"%s\"} %llu\n", outcomes[k], (unsigned long long)atomic_load(&log->counts[k]));
        }
    }
    gauges(witness, out, "stele_witness_size", "The size of the newest cosigned checkpoint.", GAUGE_SIZE);
    gauges(witness, out, "stele_witness_time_seconds", "The time of the newest cosignature.", GAUGE_TIME);
    gauges(witness, out, "stele_witness_forked", "1 where DIR/evidence has two heads that contradict each other.", GAUGE_FORKED);
    gauges(witness, out, "stele_witness_suspected", "1 where DIR/suspects has a head whose proof did not hold.", GAUGE_SUSPECTED);
    gauges(witness, out, "stele_witness_suspended", "1 where nothing is cosigned until `resume`.", GAUGE_SUSPENDED);
    pthread_rwlock_unlock(&witness->logs.lock);
    count(out, "stele_witness_malformed_total", "Malformed requests to add-checkpoint.", atomic_load(&witness->malformed));
    count(out, "stele_witness_unknown_origin_total", "Requests to add-checkpoint for no log of ours.",
          atomic_load(&witness->unknown_origin));
    count(out, "stele_witness_address_limited_total", "Requests turned away because their address sent too many.",
          atomic_load(&witness->address_limited));
    count(out, "stele_witness_queue_full_total", "Requests turned away because too many were waiting.",
          atomic_load(&witness->queue_full));
    head(out, "stele_witness_signing", "gauge", "1 while the signer works.");
    buf_fmt(out, "stele_witness_signing %d\n", committer_works(witness->committer));
}
