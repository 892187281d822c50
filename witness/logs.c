#include "witness/logs.h"

#include <stdlib.h>

#include "lib/sys/file.h"
#include "witness/limits.h"
#include "witness/notes.h"

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct logsfile_line *)a)->key.key, ((const struct logsfile_line *)b)->key.key, 32);
}

static int by_origin(const void *a, const void *b)
{
    const struct logsfile_line *x = a, *y = b;
    int order = span_cmp(x->origin, y->origin);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static enum err check_lines(struct logsfile_line *lines, size_t n, const char *file, struct why *why)
{
    if (n > 1)
        qsort(lines, n, sizeof *lines, by_key);
    for (size_t i = 1; i < n; i++)
        if (memcmp(lines[i - 1].key.key, lines[i].key.key, 32) == 0)
            return fail(why, ERR_MALFORMED, "%s: lines %u and %u have the same public key", file, lines[i - 1].number,
                        lines[i].number);
    if (n > 1)
        qsort(lines, n, sizeof *lines, by_origin);
    for (size_t i = ORIGIN_KEYS_MAX; i < n; i++)
        if (span_eq(lines[i - ORIGIN_KEYS_MAX].origin, lines[i].origin))
            return fail(why, ERR_MALFORMED, "%s: more than %d keys of the origin %.*s", file, ORIGIN_KEYS_MAX,
                        SPAN_FMT(lines[i].origin));
    return OK;
}

enum err logs_parse(struct span text, const char *file, struct logsfile_line **lines, size_t *n, struct why *why)
{
    struct lines walk;
    size_t cap = 0;
    bool found = true;
    *lines = NULL;
    *n = 0;
    enum err err = lines_start(&walk, text, file, why);
    while (err == OK && found) {
        if (*n == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            struct logsfile_line *longer = realloc(*lines, cap * sizeof *longer);
            if (longer == NULL) {
                err = fail(why, ERR_ENV, "out of memory");
                break;
            }
            *lines = longer;
        }
        err = logsfile_next(&walk, &(*lines)[*n], &found, why);
        *n += err == OK && found;
    }
    if (err == OK)
        err = check_lines(*lines, *n, file, why);
    if (err != OK) {
        free(*lines);
        *lines = NULL;
    }
    return err;
}

void logs_init(struct logs *logs, const char *dir, struct signer *signer)
{
    pthread_rwlockattr_t attr;
    *logs = (struct logs){ .dir = dir, .signer = signer };
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP); /* requests never stop coming */
    pthread_rwlock_init(&logs->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&logs->notes_lock, NULL);
    pthread_cond_init(&logs->notes_changed, NULL);
}

static void log_free(struct log *log)
{
    if (log == NULL)
        return;
    free(log->origin);
    buf_free(&log->note);
    free(log);
}

void logs_free(struct logs *logs)
{
    for (size_t i = 0; i < logs->n; i++)
        log_free(logs->items[i]);
    free(logs->items);
    free(logs->keys);
    buf_free(&logs->text);
    pthread_rwlock_destroy(&logs->lock);
    pthread_mutex_destroy(&logs->notes_lock);
    pthread_cond_destroy(&logs->notes_changed);
}

static struct log *log_new(struct span origin)
{
    struct log *log = calloc(1, sizeof *log);
    struct buf hex = BUF_EMPTY;
    if (log == NULL)
        return NULL;
    log->origin = span_dup_str(origin);
    log->origin_hash = sha256_of(origin);
    hex_encode(&hex, span_of(log->origin_hash.b, sizeof log->origin_hash.b));
    if (log->origin == NULL || hex.failed) {
        log_free(log);
        log = NULL;
    } else {
        memcpy(log->hex, hex.data, hex.len);
    }
    buf_free(&hex);
    return log;
}

static struct log *find(struct log *const *items, size_t n, struct span origin)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_cmp(origin, span_str(items[middle]->origin));
        if (order == 0)
            return items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct log *logs_find(const struct logs *logs, struct span origin)
{
    struct log *log = find(logs->items, logs->n, origin);
    return log != NULL && log->keys_n > 0 ? log : NULL;
}

struct log *logs_find_hex(const struct logs *logs, struct span hex)
{
    /* For monitors, seldom: a scan will do. */
    for (size_t i = 0; i < logs->n; i++)
        if (logs->items[i]->keys_n > 0 && span_is(hex, logs->items[i]->hex))
            return logs->items[i];
    return NULL;
}

static int log_order(const void *a, const void *b)
{
    return span_cmp(span_str((*(struct log *const *)a)->origin), span_str((*(struct log *const *)b)->origin));
}

/* What logs_load puts in place at once. */
struct loaded {
    struct buf text;
    struct logsfile_line *lines;
    size_t lines_n;
    struct vkey *keys;
    struct log **items; /* all: those known before, and the new ones */
    size_t items_n;
    struct log **fresh; /* the new ones */
    size_t fresh_n;
};

static enum err gather(const struct logs *logs, struct loaded *loaded, struct why *why)
{
    loaded->keys = calloc(loaded->lines_n + 1, sizeof *loaded->keys);
    loaded->items = calloc(logs->n + loaded->lines_n + 1, sizeof *loaded->items);
    loaded->fresh = calloc(loaded->lines_n + 1, sizeof *loaded->fresh);
    if (loaded->keys == NULL || loaded->items == NULL || loaded->fresh == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < logs->n; i++)
        loaded->items[loaded->items_n++] = logs->items[i];
    for (size_t i = 0; i < loaded->lines_n; i++) {
        const struct logsfile_line *line = &loaded->lines[i];
        loaded->keys[i] = line->key;
        if ((i > 0 && span_eq(line->origin, line[-1].origin)) || find(logs->items, logs->n, line->origin) != NULL)
            continue;
        struct log *log = log_new(line->origin);
        if (log == NULL)
            return fail(why, ERR_ENV, "out of memory");
        loaded->fresh[loaded->fresh_n++] = loaded->items[loaded->items_n++] = log;
    }
    return OK;
}

/* Under the lock: the lines' keys become their logs' own, and a log without a line goes out of use. */
static void put_in_place(struct logs *logs, struct loaded *loaded)
{
    free(logs->items);
    free(logs->keys);
    buf_free(&logs->text);
    logs->items = loaded->items;
    logs->n = loaded->items_n;
    logs->keys = loaded->keys;
    logs->text = loaded->text;
    if (logs->n > 1)
        qsort(logs->items, logs->n, sizeof *logs->items, log_order);
    for (size_t i = 0; i < logs->n; i++)
        logs->items[i]->keys_n = 0;
    for (size_t i = 0; i < loaded->lines_n; i++) {
        struct log *log = find(logs->items, logs->n, loaded->lines[i].origin);
        if (log->keys_n++ == 0)
            log->keys = &logs->keys[i];
    }
}

enum err logs_load(struct logs *logs, struct why *why)
{
    struct loaded loaded = { 0 };
    char *path = path_join(logs->dir, "logs");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, LOGS_BYTES_MAX, &loaded.text, why);
    if (err == OK)
        err = logs_parse(span_buf(&loaded.text), path, &loaded.lines, &loaded.lines_n, why);
    if (err == OK)
        err = gather(logs, &loaded, why);
    free(path);
    if (err == OK) {
        pthread_rwlock_wrlock(&logs->lock);
        put_in_place(logs, &loaded);
        pthread_rwlock_unlock(&logs->lock);
    } else {
        free(loaded.items);
        free(loaded.keys);
        buf_free(&loaded.text);
    }
    /* Only this thread changes the table: it may be read without the lock here. */
    for (size_t i = 0; i < loaded.fresh_n; i++)
        err == OK ? notes_restore(logs, loaded.fresh[i]) : log_free(loaded.fresh[i]);
    free(loaded.fresh);
    free(loaded.lines);
    return err;
}
