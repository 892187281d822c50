/* The Prometheus lines of the log's witnesses: who is asked, who cosigns, and whose fault what is. */
#include "lib/sys/clock.h"
#include "log/witnesses_internal.h"

/* NAME{witness="…"} with the label's escapes. */
static void label(struct buf *out, const char *name, const struct witness *witness)
{
    buf_fmt(out, "stele_log_witness_%s{witness=\"", name);
    for (const char *c = witness->name; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            buf_byte(out, '\\');
        buf_byte(out, (uint8_t)*c);
    }
    buf_str(out, "\"} ");
}

static void metric(struct buf *out, const char *name, const struct witness *witness, uint64_t value)
{
    label(out, name, witness);
    buf_fmt(out, "%llu\n", (unsigned long long)value);
}

static void metrics_of(struct buf *out, const struct witness *witness, uint64_t now_ms)
{
    uint64_t success_ms = witness->last_success_ms;
    metric(out, "size", witness, witness->size);
    metric(out, "requests_total", witness, witness->requests);
    metric(out, "connections_total", witness, witness->connections);
    metric(out, "cosignatures_total", witness, witness->cosignatures);
    metric(out, "conflicts_total", witness, witness->conflicts);
    metric(out, "ahead_total", witness, witness->ahead);
    metric(out, "failures_total", witness, witness->failures);
    label(out, "clock_ahead_seconds", witness);
    buf_fmt(out, "%lld\n", (long long)witness->clock_ahead_s);
    if (success_ms == 0)
        return;
    label(out, "last_success_age_seconds", witness);
    buf_fmt(out, "%.3f\n", success_ms < now_ms ? (double)(now_ms - success_ms) / 1000 : 0);
}

void witnesses_metrics(struct witnesses *witnesses, struct buf *out)
{
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&witnesses->lock);
    for (size_t i = 0; i < witnesses->n; i++)
        metrics_of(out, &witnesses->list[i], now_ms);
    pthread_mutex_unlock(&witnesses->lock);
}
