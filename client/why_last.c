#include "client/why_last.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/refusals.h"
#include "lib/sys/clock.h"

enum {
    RUN_GAP_S = 300, /* refusals that are further apart belong to two runs of Nix */
    PATHS_SHOWN_MAX = 20,
};

struct records {
    struct buf text;
    struct refusal *items;
    size_t n;
};

static void free_records(struct records *records)
{
    buf_free(&records->text);
    free(records->items);
}

static enum err read_records(const struct client_config *config, struct records *out, struct why *why)
{
    struct refusal one;
    enum err err = refusals_read(config, &out->text, why);
    for (struct span rest = span_buf(&out->text); err == OK && refusalfile_next(&rest, &one);) {
        struct refusal *items = array_more(out->items, out->n, sizeof *items);
        if (items == NULL)
            return fail(why, ERR_ENV, "out of memory");
        out->items = items;
        out->items[out->n++] = one;
    }
    return err;
}

/* Only the last run's refusals stay, and all warnings. */
static void keep_last_run(struct records *records)
{
    uint64_t since_s = UINT64_MAX;
    size_t kept = 0;
    for (size_t i = records->n; i-- > 0;) {
        const struct refusal *one = &records->items[i];
        if (!one->warned && (since_s == UINT64_MAX || one->time_s + RUN_GAP_S >= since_s))
            since_s = one->time_s;
    }
    for (size_t i = 0; i < records->n; i++)
        if (records->items[i].warned || records->items[i].time_s >= since_s)
            records->items[kept++] = records->items[i];
    records->n = kept;
}

static int by_path(const void *a, const void *b)
{
    const struct refusal *left = a, *right = b;
    int order = span_cmp(left->hash_part, right->hash_part);
    return order != 0 ? order : (left->time_s < right->time_s) - (left->time_s > right->time_s);
}

static int by_reason(const void *a, const void *b)
{
    const struct refusal *left = a, *right = b;
    int order = (int)left->warned - (int)right->warned;
    if (order == 0)
        order = span_cmp(left->why, right->why);
    return order != 0 ? order : span_cmp(refusal_path(left), refusal_path(right));
}

/* One record a path, the newest, and these by reason. */
static void keep_paths(struct records *records)
{
    size_t kept = 0;
    if (records->n > 0)
        qsort(records->items, records->n, sizeof *records->items, by_path);
    for (size_t i = 0; i < records->n; i++)
        if (kept == 0 || !span_eq(records->items[kept - 1].hash_part, records->items[i].hash_part))
            records->items[kept++] = records->items[i];
    records->n = kept;
    if (kept > 0)
        qsort(records->items, kept, sizeof *records->items, by_reason);
}

/* How many from `from` on have its reason. */
static size_t group_length(const struct records *records, size_t from)
{
    size_t n = 1;
    while (from + n < records->n && records->items[from + n].warned == records->items[from].warned &&
           span_eq(records->items[from + n].why, records->items[from].why))
        n++;
    return n;
}

static size_t count(const struct records *records, bool warned)
{
    size_t n = 0;
    for (size_t i = 0; i < records->n; i++)
        n += records->items[i].warned == warned;
    return n;
}

/* The one line. */
static void print_line(const struct records *records, bool warned)
{
    size_t all = count(records, warned), reasons = 0;
    if (all == 0)
        return;
    printf(warned ? "the gate let %zu path%s pass by `mode warn` that `mode enforce` would have refused: "
                  : "the gate refused %zu path%s: ",
           all, all == 1 ? "" : "s");
    for (size_t i = 0, n; i < records->n; i += n) {
        n = group_length(records, i);
        if (records->items[i].warned == warned)
            printf("%s%zu because %.*s", reasons++ > 0 ? "; " : "", n, SPAN_FMT(records->items[i].why));
    }
    putchar('\n');
}

static void print_groups(const struct records *records)
{
    for (size_t i = 0, n; i < records->n; i += n) {
        n = group_length(records, i);
        printf("%zu %s: %.*s\n", n, records->items[i].warned ? "passed by `mode warn`" : "refused",
               SPAN_FMT(records->items[i].why));
        for (size_t k = i; k < i + n && k < i + PATHS_SHOWN_MAX; k++)
            printf("  %.*s\n", SPAN_FMT(refusal_path(&records->items[k])));
        if (n > PATHS_SHOWN_MAX)
            printf("  and %zu more\n", n - PATHS_SHOWN_MAX);
    }
    printf("`stele why PATH` tells more of one of them\n");
}

static enum err print_json(const struct records *records, struct why *why)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; i < records->n && whole; i++) {
        const struct refusal *one = &records->items[i];
        struct span path = refusal_path(one);
        whole = json_array_append_new(list, json_pack("{s:s%, s:I, s:b, s:s%}", "path", path.data, path.len, "time",
                                                      (json_int_t)one->time_s, "refused", !one->warned, "why", one->why.data,
                                                      one->why.len)) == 0;
    }
    if (whole) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(list);
    return whole ? OK : fail(why, ERR_ENV, "out of memory, or a record of the gate is no UTF-8");
}

enum err why_last(const struct client_config *config, bool as_json, struct why *why)
{
    struct records records = { 0 };
    enum err err = read_records(config, &records, why);
    if (err == OK) {
        keep_last_run(&records);
        keep_paths(&records);
    }
    if (err == OK && as_json) {
        err = print_json(&records, why);
    } else if (err == OK && records.n == 0) {
        printf("the gate has refused nothing\n");
    } else if (err == OK) {
        print_line(&records, false);
        print_line(&records, true);
        print_groups(&records);
    }
    free_records(&records);
    return err;
}

enum err why_last_of(const struct client_config *config, struct span hash_part, struct why *why)
{
    struct records records = { 0 };
    const struct refusal *newest = NULL;
    enum err err = read_records(config, &records, why);
    for (size_t i = 0; i < records.n && err == OK; i++)
        if (span_eq(records.items[i].hash_part, hash_part))
            newest = &records.items[i];
    if (newest != NULL) {
        char when[CLOCK_TEXT_BYTES];
        printf("the gate %s it at %s: %.*s\n%.*s", newest->warned ? "let it pass by `mode warn`" : "refused",
               clock_text(newest->time_s, when), SPAN_FMT(newest->why), (int)newest->tree.len, (const char *)newest->tree.data);
    }
    free_records(&records);
    return err;
}
