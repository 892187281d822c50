/* The metrics of the log's witnesses: who is asked, who cosigns, and whose fault what is. */
#include "lib/sys/clock.h"
#include "lib/sys/metrics.h"
#include "log/witnesses_internal.h"

static const char *const kinds[WITNESS_FAILURES] = {
    [WITNESS_UNREACHABLE] = "unreachable", [WITNESS_REFUSED] = "refused", [WITNESS_WRONG] = "wrong"
};

static void family(struct witnesses *witnesses, struct buf *out, const char *name, const char *type, const char *help,
                   double (*value)(const struct witness *witness))
{
    metrics_family(out, name, type, help);
    for (size_t i = 0; i < witnesses->n; i++)
        metrics_value(out, name, "witness", witnesses->list[i].name, value(&witnesses->list[i]));
}

#define VALUE(member)                                                                                                              \
    static double member(const struct witness *witness)                                                                            \
    {                                                                                                                              \
        return (double)witness->member;                                                                                            \
    }
VALUE(size)
VALUE(requests)
VALUE(connections)
VALUE(cosignatures)
VALUE(conflicts)
VALUE(ahead)
VALUE(clock_ahead_s)
#undef VALUE

static void failures(struct witnesses *witnesses, struct buf *out)
{
    static const char name[] = "stele_log_witness_failures_total";
    metrics_family(out, name, "counter", "Requests that had no answer, another status than 200 and 409, or a wrong answer.");
    for (size_t i = 0; i < witnesses->n; i++)
        for (size_t kind = 0; kind < WITNESS_FAILURES; kind++)
            metrics_value2(out, name, (const char *[]){ "witness", witnesses->list[i].name, "kind", kinds[kind] },
                           (double)witnesses->list[i].failures[kind]);
}

static void ages(struct witnesses *witnesses, struct buf *out)
{
    static const char name[] = "stele_log_witness_last_success_age_seconds";
    uint64_t now_ms = clock_monotonic_ms();
    metrics_family(out, name, "gauge", "Since its last cosignature; none where it gave none since the start.");
    for (size_t i = 0; i < witnesses->n; i++) {
        uint64_t at_ms = witnesses->list[i].last_success_ms;
        if (at_ms != 0)
            metrics_value(out, name, "witness", witnesses->list[i].name, at_ms < now_ms ? (double)(now_ms - at_ms) / 1000 : 0);
    }
}

void witnesses_metrics(struct witnesses *witnesses, struct buf *out)
{
    pthread_mutex_lock(&witnesses->lock);
    family(witnesses, out, "stele_log_witness_size", "gauge", "Size that it cosigned last, as far as is known.", size);
    family(witnesses, out, "stele_log_witness_requests_total", "counter", "Requests to it.", requests);
    family(witnesses, out, "stele_log_witness_connections_total", "counter", "Connections made for them.", connections);
    family(witnesses, out, "stele_log_witness_cosignatures_total", "counter", "Cosignatures that it gave.", cosignatures);
    family(witnesses, out, "stele_log_witness_conflicts_total", "counter", "Answers 409.", conflicts);
    family(witnesses, out, "stele_log_witness_ahead_total", "counter", "Answers 409 with a size above our head.", ahead);
    family(witnesses, out, "stele_log_witness_clock_ahead_seconds", "gauge", "Its clock before ours, by its last cosignature.",
           clock_ahead_s);
    failures(witnesses, out);
    ages(witnesses, out);
    pthread_mutex_unlock(&witnesses->lock);
}
