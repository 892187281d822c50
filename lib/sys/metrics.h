/*
 * What a program counts and measures, as Prometheus text (exposition format 0.0.4): each family once, with its help and type, and
 * its lines together.
 */
#ifndef STELE_SYS_METRICS_H
#define STELE_SYS_METRICS_H

#include <stdatomic.h>

#include "lib/bytes.h"

/* How long something took: from any thread, without a lock. Zeros to begin with. */
enum { HISTOGRAM_BUCKETS = 16 };
struct histogram {
    atomic_ullong counts[HISTOGRAM_BUCKETS + 1]; /* the last one: longer than all bounds */
    atomic_ullong sum_us;
};
void histogram_add(struct histogram *histogram, uint64_t us);

/* Appends the lines that begin a family: `type` is "counter" or "gauge". The lines with its values follow. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);
/* One value; with the label `label` = `value` where label is not NULL, or with two. */
void metrics_value(struct buf *out, const char *name, const char *label, const char *value, double number);
void metrics_value2(struct buf *out, const char *name, const char *const labels[4], double number);
/* A whole family: of one value, and of a histogram (in seconds). */
void metrics_one(struct buf *out, const char *name, const char *type, const char *help, double number);
void metrics_histogram(struct buf *out, const char *name, const char *help, struct histogram *histogram);

#endif
