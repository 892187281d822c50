#include "lib/sys/metrics.h"

/* From well below a disk's sync to well above a witness's patience. */
static const uint64_t bounds_us[HISTOGRAM_BUCKETS] = { 100,   250,    500,    1000,   2500,    5000,    10000,    25000,
                                                       50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, 30000000 };

void histogram_add(struct histogram *histogram, uint64_t us)
{
    size_t i = 0;
    while (i < HISTOGRAM_BUCKETS && us > bounds_us[i])
        i++;
    atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Whole numbers as such, whatever their size. */
static void number_line(struct buf *out, double number)
{
    if (number >= 0 && number < 9007199254740992.0 && number == (double)(uint64_t)number)
        buf_fmt(out, " %llu\n", (unsigned long long)number);
    else
        buf_fmt(out, " %.6f\n", number);
}

/* NAME="VALUE", with the value's escapes. */
static void label_pair(struct buf *out, const char *label, const char *value)
{
    buf_fmt(out, "%s=\"", label);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            buf_byte(out, '\\');
        if (*value == '\n')
            buf_str(out, "\\n");
        else
            buf_byte(out, (uint8_t)*value);
    }
    buf_byte(out, '"');
}

void metrics_value(struct buf *out, const char *name, const char *label, const char *value, double number)
{
    buf_str(out, name);
    if (label != NULL) {
        buf_byte(out, '{');
        label_pair(out, label, value);
        buf_byte(out, '}');
    }
    number_line(out, number);
}

void metrics_value2(struct buf *out, const char *name, const char *const labels[4], double number)
{
    buf_fmt(out, "%s{", name);
    label_pair(out, labels[0], labels[1]);
    buf_byte(out, ',');
    label_pair(out, labels[2], labels[3]);
    buf_byte(out, '}');
    number_line(out, number);
}

void metrics_one(struct buf *out, const char *name, const char *type, const char *help, double number)
{
    metrics_family(out, name, type, help);
    metrics_value(out, name, NULL, NULL, number);
}

void metrics_histogram(struct buf *out, const char *name, const char *help, struct histogram *histogram)
{
    unsigned long long total = 0;
    metrics_family(out, name, "histogram", help);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        buf_fmt(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6, total);
    }
    total += atomic_load_explicit(&histogram->counts[HISTOGRAM_BUCKETS], memory_order_relaxed);
    buf_fmt(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name, total, name,
            (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) / 1e6, name, total);
}
