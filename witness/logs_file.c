#include "witness/logs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/file.h>

#include "lib/loglist.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "witness/limits.h"

static int by_key(const void *a, const void *b)
{
    const struct logsfile_line *x = a, *y = b;
    if (x->kind != y->kind)
        return (int)x->kind - (int)y->kind;
    int order = memcmp(x->key.key, y->key.key, sizeof x->key.key);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static int by_origin(const void *a, const void *b)
{
    const struct logsfile_line *x = a, *y = b;
    int order = span_cmp(x->origin, y->origin);
    if (order != 0)
        return order;
    if (x->kind != y->kind)
        return (int)x->kind - (int)y->kind;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void sort(struct logsfile_line *lines, size_t n, int (*order)(const void *, const void *))
{
    if (n > 1)
        qsort(lines, n, sizeof *lines, order);
}

static bool same_key(const struct logsfile_line *a, const struct logsfile_line *b)
{
    return a->kind == LOGSFILE_LOG && b->kind == LOGSFILE_LOG && memcmp(a->key.key, b->key.key, sizeof a->key.key) == 0;
}

/* The lines of one origin, in their order. */
static enum err check_origin(const struct logsfile_line *lines, size_t n, const char *file, struct why *why)
{
    struct span origin = lines[0].origin;
    if (n > ORIGIN_KEYS_MAX && lines[ORIGIN_KEYS_MAX].kind == LOGSFILE_LOG)
        return fail(why, ERR_MALFORMED, "%s: more than %d keys of the origin %.*s", file, ORIGIN_KEYS_MAX, SPAN_FMT(origin));
    if (lines[0].kind == LOGSFILE_LIMIT)
        return fail(why, ERR_MALFORMED, "%s line %u: a limit of %.*s, which no line names as a log", file, lines[0].number,
                    SPAN_FMT(origin));
    for (size_t i = 1; i < n; i++)
        if (lines[i].kind != LOGSFILE_LOG && (lines[i].kind == lines[i - 1].kind || lines[i].kind == LOGSFILE_REMOVED))
            return fail(why, ERR_MALFORMED, "%s: lines %u and %u contradict each other", file, lines[i - 1].number,
                        lines[i].number);
    return OK;
}

static enum err check_lines(struct logsfile_line *lines, size_t n, const char *file, struct why *why)
{
    sort(lines, n, by_key);
    for (size_t i = 1; i < n; i++)
        if (same_key(&lines[i - 1], &lines[i]))
            return fail(why, ERR_MALFORMED, "%s: lines %u and %u have the same public key", file, lines[i - 1].number,
                        lines[i].number);
    sort(lines, n, by_origin);
    enum err err = OK;
    for (size_t i = 0, next; i < n && err == OK; i = next) {
        for (next = i + 1; next < n && span_eq(lines[next].origin, lines[i].origin);)
            next++;
        err = check_origin(lines + i, next - i, file, why);
    }
    return err;
}

/* Room for one more. */
static enum err grow(void **items, size_t n, size_t size, struct why *why)
{
    void *more = array_more(*items, n, size);
    if (more == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *items = more;
    return OK;
}

enum err logs_parse(struct span text, const char *file, struct logsfile_line **lines, size_t *n, struct why *why)
{
    struct lines walk;
    void *items = NULL;
    bool found = true;
    *lines = NULL;
    *n = 0;
    enum err err = lines_start(&walk, text, file, why);
    while (err == OK && found) {
        err = grow(&items, *n, sizeof **lines, why);
        if (err == OK)
            err = logsfile_next(&walk, (struct logsfile_line *)items + *n, &found, why);
        *n += err == OK && found;
    }
    if (err == OK)
        err = check_lines(items, *n, file, why);
    if (err == OK)
        *lines = items;
    else
        free(items);
    return err;
}

const struct logsfile_line *logs_lines_of(const struct logsfile_line *lines, size_t n, struct span origin)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_cmp(lines[middle].origin, origin) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && span_eq(lines[low].origin, origin) ? &lines[low] : NULL;
}

/* DIR/lock is the running witness's: those who change the list exclude each other by the folder itself. */
enum err logs_edit_start(struct logs_edit *edit, const char *dir, struct why *why)
{
    *edit = (struct logs_edit){ .lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .path = path_join(dir, "logs") };
    if (edit->lock < 0 || flock(edit->lock, LOCK_EX) != 0)
        return fail(why, ERR_ENV, "cannot open %s: %s", dir, strerror(errno));
    if (edit->path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = file_read(edit->path, LOGS_BYTES_MAX, &edit->text, why);
    return err == OK ? logs_parse(span_buf(&edit->text), edit->path, &edit->lines, &edit->n, why) : err;
}

enum err logs_edit_put(struct logs_edit *edit, struct span text, struct why *why)
{
    struct logsfile_line *lines = NULL;
    size_t n = 0;
    enum err err = text.len > LOGS_BYTES_MAX
                       ? fail(why, ERR_REFUSED, "%s would have %zu bytes, more than %d", edit->path, text.len, LOGS_BYTES_MAX)
                       : logs_parse(text, edit->path, &lines, &n, why);
    free(lines);
    if (err == ERR_MALFORMED)
        err = fail_in(why, ERR_REFUSED, "not changed");
    return err == OK ? file_replace(edit->path, 0644, text, why) : err;
}

void logs_edit_end(struct logs_edit *edit)
{
    if (edit->lock >= 0)
        close(edit->lock);
    free(edit->lines);
    buf_free(&edit->text);
    free(edit->path);
}

void logs_edit_end_line(struct buf *text)
{
    if (text->len > 0 && text->data[text->len - 1] != '\n')
        buf_byte(text, '\n');
}

/* Reads a list whole. What cannot be used is left out, and said. */
static enum err read_list(struct span text, const char *name, struct loglist_entry **entries, size_t *n, struct why *why)
{
    struct lines walk;
    void *items = NULL;
    bool found = true;
    *n = 0;
    enum err err = loglist_start(&walk, text, name, why);
    while (err == OK && found) {
        err = grow(&items, *n, sizeof **entries, why);
        struct loglist_entry *entry = (struct loglist_entry *)items + *n;
        if (err == OK)
            err = loglist_next(&walk, entry, &found, why);
        if (err == OK && found && !entry->usable)
            report(REPORT_WARN, "list-log-unusable", "list=%s line=%u why=%s", report_quote(name), entry->number,
                   report_quote(entry->why_not.text));
        *n += err == OK && found && entry->usable;
    }
    if (err == OK) {
        *entries = items;
        return OK;
    }
    free(items);
    return err;
}

/* Is the key that of a known log, or of an earlier entry of the list? `known` are sorted by key. */
static bool key_taken(const struct logsfile_line *known, size_t n, const struct loglist_entry *entry)
{
    struct logsfile_line wanted = { .kind = LOGSFILE_LOG, .key = entry->key, .number = entry->number };
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_key(&known[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* Keys are found by their first line: numbers count from 0 for what is known, as list lines do from 1. */
    return low > 0 && same_key(&known[low - 1], &wanted);
}

/* All keys, the known ones with number 0, those of the list with their lines'. */
static struct logsfile_line *all_keys(const struct logs_edit *edit, const struct loglist_entry *entries, size_t n)
{
    struct logsfile_line *keys = calloc(edit->n + n + 1, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < edit->n; i++) {
        keys[i] = edit->lines[i];
        keys[i].number = 0;
    }
    for (size_t i = 0; keys != NULL && i < n; i++)
        keys[edit->n + i] = (struct logsfile_line){ .key = entries[i].key, .number = entries[i].number };
    if (keys != NULL)
        sort(keys, edit->n + n, by_key);
    return keys;
}

static int entry_by_origin(const void *a, const void *b)
{
    const struct loglist_entry *x = a, *y = b;
    int order = span_cmp(x->origin, y->origin);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

/* The lines of a list's logs that are new; of an origin that the list has twice, the first limit. */
static enum err render_new(const struct logs_edit *edit, struct loglist_entry *entries, size_t n, struct buf *out, size_t *added,
                           struct why *why)
{
    struct logsfile_line *keys = all_keys(edit, entries, n);
    enum err err = keys == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    struct span last = span_of(NULL, 0);
    size_t of_origin = 0;
    if (n > 1)
        qsort(entries, n, sizeof *entries, entry_by_origin);
    for (size_t i = 0; i < n && err == OK; i++) {
        struct span origin = entries[i].origin;
        if (logs_lines_of(edit->lines, edit->n, origin) != NULL || key_taken(keys, edit->n + n, &entries[i]))
            continue;
        bool first = last.len == 0 || !span_eq(last, origin);
        of_origin = first ? 1 : of_origin + 1;
        if (of_origin > ORIGIN_KEYS_MAX)
            continue;
        struct logsfile_line line = { .key = entries[i].key, .origin = origin };
        err = logsfile_render(out, &line, why);
        line = (struct logsfile_line){ .kind = LOGSFILE_LIMIT, .origin = origin, .qpd = entries[i].qpd };
        if (err == OK && first)
            err = logsfile_render(out, &line, why);
        *added += first;
        last = origin;
    }
    free(keys);
    return err;
}

enum err logs_add_list(const char *dir, struct span text, const char *name, size_t *added, struct why *why)
{
    struct logs_edit edit;
    struct loglist_entry *entries = NULL;
    struct buf fresh = BUF_EMPTY;
    size_t n = 0;
    *added = 0;
    enum err err = read_list(text, name, &entries, &n, why);
    if (err != OK)
        return err;
    err = logs_edit_start(&edit, dir, why);
    if (err == OK)
        err = render_new(&edit, entries, n, &fresh, added, why);
    if (err == OK && *added > 0) {
        logs_edit_end_line(&edit.text);
        /* `entries` and the lines of `edit` are done with: the text may move. */
        buf_span(&edit.text, span_buf(&fresh));
        err = buf_done(&edit.text, why);
        if (err == OK)
            err = logs_edit_put(&edit, span_buf(&edit.text), why);
    }
    logs_edit_end(&edit);
    buf_free(&fresh);
    free(entries);
    return err;
}
