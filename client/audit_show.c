/* What an audit found: a table for people, JSON for machines (spec/reports.md). */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "client/audit.h"
#include "lib/sys/cli.h"

/* Where a whole store lost its support, the dependents grow with its square: once there are enough, no more are looked for. */
enum { DEPENDENTS_SHOWN = 10, DEPENDENTS_MAX = 10000, DEPENDENTS_ENOUGH = 100000 };

static const struct {
    const char *name, *meaning;
} classes[AUDIT_CLASSES] = {
    [AUDIT_ATTESTED] = { "attested", "builders whom the trust file names built exactly this" },
    [AUDIT_ADDRESSED] = { "content-addressed", "a source, a derivation or a fixed output: its content is its name" },
    [AUDIT_EXEMPT] = { "exempt", "an `exempt` line of the trust file covers it" },
    [AUDIT_BUILT_HERE] = { "built-here", "this machine built it: its store's database says so, or what was noted of its builds" },
    [AUDIT_VOUCHED] = { "vouched", "a cache of the trust file served it: who built it is not known" },
    [AUDIT_UNEXPLAINED] = { "unexplained", "nobody answers for it" },
    [AUDIT_CONTRADICTED] = { "contradicted", "somebody whom the trust file names attested other bytes for this path" },
    [AUDIT_ALTERED] = { "altered", "what lies on disk is not what was registered" },
};

const char *audit_class_name(enum audit_class class)
{
    return classes[class].name;
}

const char *audit_class_meaning(enum audit_class class)
{
    return classes[class].meaning;
}

/* What is said first, whatever is said of the rest. */
struct audit_report {
    json_t *paths;
    size_t dependents, without_dependents; /* told; paths of which none are, for there are enough */
    struct buf alarms, lines, lost;
};

enum err audit_report_start(struct audit *audit, struct why *why)
{
    audit->report = calloc(1, sizeof *audit->report);
    if (audit->report == NULL || (audit->json && (audit->report->paths = json_array()) == NULL))
        return fail(why, ERR_ENV, "out of memory");
    return OK;
}

void audit_report_free(struct audit *audit)
{
    if (audit->report == NULL)
        return;
    json_decref(audit->report->paths);
    buf_free(&audit->report->alarms);
    buf_free(&audit->report->lines);
    buf_free(&audit->report->lost);
    free(audit->report);
}

static const char *detail(const struct audit_item *item)
{
    if (item->altered)
        return item->why_altered.text;
    if (item->path.false_address)
        return "its content address is false: it does not give this path";
    if (item->class == AUDIT_UNEXPLAINED && item->other_references)
        return "this machine built these bytes with other references";
    bool told = item->class == AUDIT_ATTESTED || item->class == AUDIT_VOUCHED || item->class == AUDIT_EXEMPT ||
                item->class == AUDIT_CONTRADICTED || (item->class == AUDIT_UNEXPLAINED && item->wants_look_up);
    return told ? item->why.text : classes[item->class].meaning;
}

static bool is_bad(const struct audit *audit, const struct audit_item *item)
{
    return item->class >= AUDIT_UNEXPLAINED || (item->class == AUDIT_VOUCHED && audit->strict) || item->path.false_address ||
           item->own || item->lost || item->contested;
}

static enum err add_json(struct audit *audit, const struct audit_item *item, const struct nixdb_paths *dependents, struct why *why)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "path", item->info.path, "class", classes[item->class].name, "why",
                  detail(item), "builtHere", item->built, "contested", item->contested, "falseAddress", item->path.false_address);
    if (object != NULL && item->own)
        json_object_set_new(object, "alarm", json_string(item->why_own.text));
    if (object != NULL && item->would_refuse)
        json_object_set_new(object, "wouldRefuse", json_string(item->why_refuse.text));
    if (object != NULL && item->lost) {
        json_object_set_new(object, "lostSupport", json_string(item->why_lost.text));
        json_t *list = dependents == NULL ? NULL : json_array();
        for (size_t i = 0; list != NULL && i < dependents->n; i++)
            json_array_append_new(list, json_string(dependents->items[i]));
        if (list != NULL)
            json_object_set_new(object, "dependents", list);
    }
    return object != NULL && json_array_append_new(audit->report->paths, object) == 0 ? OK : fail(why, ERR_ENV, "out of memory");
}

static void add_lost(struct audit *audit, const struct audit_item *item, const struct nixdb_paths *dependents)
{
    struct buf *out = &audit->report->lost;
    buf_fmt(out, "lost its support:  %s: %s\n", item->info.path, item->why_lost.text);
    for (size_t i = 0; dependents != NULL && i < dependents->n && i < DEPENDENTS_SHOWN; i++)
        buf_fmt(out, "  depends on it:   %s\n", dependents->items[i]);
    if (dependents != NULL && dependents->n > DEPENDENTS_SHOWN)
        buf_fmt(out, "  and %zu more (--json has them)\n", dependents->n - DEPENDENTS_SHOWN);
}

static void add_text(struct audit *audit, const struct audit_item *item)
{
    struct audit_report *report = audit->report;
    if (item->own)
        buf_fmt(&report->alarms, "ALARM              %s: %s\n", item->info.path, item->why_own.text);
    if (audit->would_refuse) {
        if (item->would_refuse)
            buf_fmt(&report->lines, "would be refused   %s: %s\n", item->info.path, item->why_refuse.text);
        return;
    }
    if (audit->quiet && !is_bad(audit, item))
        return;
    buf_fmt(&report->lines, "%-18s %s: %s%s\n", classes[item->class].name, item->info.path, detail(item),
            item->contested ? "; contested: somebody logged other bytes for it" : "");
}

/* Of a path that lost its support; *told is NULL where enough were told before. */
static enum err find_dependents(struct audit *audit, const struct audit_item *item, struct nixdb_paths *out,
                                const struct nixdb_paths **told, struct why *why)
{
    struct audit_report *report = audit->report;
    *told = out;
    if (!item->lost || audit->cache != NULL)
        return OK;
    if (report->dependents >= DEPENDENTS_ENOUGH) {
        report->without_dependents++;
        *told = NULL;
        return OK;
    }
    enum err err = nixdb_referrers(audit->local.db, item->info.path, DEPENDENTS_MAX, out, why);
    report->dependents += out->n;
    return err;
}

enum err audit_report_item(struct audit *audit, const struct audit_item *item, struct why *why)
{
    struct nixdb_paths dependents = { 0 };
    const struct nixdb_paths *told;
    enum err err = find_dependents(audit, item, &dependents, &told, why);
    audit->counts[item->class]++;
    audit->contested += item->contested;
    audit->lost += item->lost;
    audit->alarms += item->own;
    audit->false_addresses += item->path.false_address;
    audit->refused += item->would_refuse;
    audit->passed += !item->would_refuse && !item->info.ultimate;
    if (err == OK && audit->json)
        err = add_json(audit, item, told, why);
    else if (err == OK) {
        if (item->lost)
            add_lost(audit, item, told);
        add_text(audit, item);
        if (audit->report->lines.failed || audit->report->alarms.failed || audit->report->lost.failed)
            err = fail(why, ERR_ENV, "out of memory");
    }
    nixdb_paths_free(&dependents);
    return err;
}

static enum err end_json(struct audit *audit, struct why *why)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < AUDIT_CLASSES; i++)
        json_object_set_new(counts, classes[i].name, json_integer((json_int_t)audit->counts[i]));
    json_t *report = json_pack("{s:O, s:o, s:I, s:I, s:I, s:I, s:s%}", "paths", audit->report->paths, "counts", counts, "alarms",
                               (json_int_t)audit->alarms, "lostSupport", (json_int_t)audit->lost, "contested",
                               (json_int_t)audit->contested, "notAsked", (json_int_t)audit->not_asked, "troubles",
                               audit->troubles.len > 0 ? (const char *)audit->troubles.data : "", audit->troubles.len);
    if (report == NULL)
        return fail(why, ERR_ENV, "out of memory");
    json_dumpf(report, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(report);
    return OK;
}

static void sum_up(const struct audit *audit)
{
    const char *join = "";
    size_t n = 0;
    for (size_t i = 0; i < AUDIT_CLASSES; i++)
        n += audit->counts[i];
    if (audit->would_refuse) {
        printf("%zu paths: %zu would pass, %zu would be refused, %zu were built here\n", n, audit->passed, audit->refused,
               n - audit->passed - audit->refused);
        return;
    }
    printf("%zu paths: ", n);
    for (size_t i = 0; i < AUDIT_CLASSES; i++)
        if (audit->counts[i] > 0) {
            printf("%s%zu %s", join, audit->counts[i], classes[i].name);
            join = ", ";
        }
    if (audit->contested > 0)
        printf("; %zu contested", audit->contested);
    if (audit->lost > 0)
        printf("; %zu lost their support", audit->lost);
    if (audit->false_addresses > 0)
        printf("; %zu with a false content address, or malformed", audit->false_addresses);
    printf("\n");
}

enum err audit_report_end(struct audit *audit, struct why *why)
{
    struct audit_report *report = audit->report;
    cli_progress_end();
    if (audit->json)
        return end_json(audit, why);
    if (report->without_dependents > 0)
        buf_fmt(&report->lost, "what depends on %zu more of them is not told: it is %zu paths by here\n",
                report->without_dependents, report->dependents);
    const struct buf *parts[] = { &report->alarms, &report->lost, &report->lines };
    for (size_t i = 0; i < 3; i++)
        if (parts[i]->len > 0)
            fwrite(parts[i]->data, 1, parts[i]->len, stdout);
    sum_up(audit);
    if (audit->troubles.len > 0)
        fprintf(stderr, "not every source could be asked (for %zu paths not every log):\n%.*s", audit->not_asked,
                (int)audit->troubles.len, (const char *)audit->troubles.data);
    return OK;
}
