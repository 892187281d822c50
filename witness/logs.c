#include "witness/logs.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/file.h"
#include "witness/evidence.h"
#include "witness/limits.h"
#include "witness/logs_file.h"
#include "witness/notes.h"

#define DAY_US 86400000000u

void logs_init(struct logs *logs, const char *dir, struct signer *signer, uint64_t qpd)
{
    pthread_rwlockattr_t attr;
    *logs = (struct logs){ .dir = dir, .signer = signer, .qpd = qpd };
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP); /* requests never stop coming */
    pthread_rwlock_init(&logs->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&logs->load_lock, NULL);
    pthread_mutex_init(&logs->quota_lock, NULL);
    pthread_mutex_init(&logs->evidence_lock, NULL);
    pthread_mutex_init(&logs->notes_lock, NULL);
    cond_init(&logs->notes_changed);
}

static void log_free(struct log *log)
{
    if (log == NULL)
        return;
    free(log->origin);
    buf_free(&log->note);
    buf_free(&log->suspect);
    buf_free(&log->evidence);
    free(log);
}

void logs_free(struct logs *logs)
{
    for (size_t i = 0; i < logs->n; i++)
        log_free(logs->items[i]);
    free(logs->items);
    free(logs->by_hash);
    free(logs->keys);
    buf_free(&logs->text);
    pthread_rwlock_destroy(&logs->lock);
    pthread_mutex_destroy(&logs->load_lock);
    pthread_mutex_destroy(&logs->quota_lock);
    pthread_mutex_destroy(&logs->evidence_lock);
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
    struct hash wanted;
    size_t low = 0, high = logs->n;
    if (!hex_decode(hex, wanted.b, sizeof wanted.b))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(wanted.b, logs->by_hash[middle]->origin_hash.b, sizeof wanted.b);
        if (order == 0)
            return logs->by_hash[middle]->keys_n > 0 ? logs->by_hash[middle] : NULL;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int log_order(const void *a, const void *b)
{
    return span_cmp(span_str((*(struct log *const *)a)->origin), span_str((*(struct log *const *)b)->origin));
}

static int hash_order(const void *a, const void *b)
{
    return memcmp((*(struct log *const *)a)->origin_hash.b, (*(struct log *const *)b)->origin_hash.b, sizeof(struct hash));
}

/* What logs_load puts in place at once. */
struct loaded {
    struct buf text;
    struct logsfile_line *lines;
    size_t lines_n;
    struct vkey *keys;
    struct log **items, **by_hash; /* all: those known before, and the new ones */
    size_t items_n;
    struct log **fresh; /* the new ones */
    size_t fresh_n;
};

static enum err gather(const struct logs *logs, struct loaded *loaded, struct why *why)
{
    loaded->keys = calloc(loaded->lines_n + 1, sizeof *loaded->keys);
    loaded->items = calloc(logs->n + loaded->lines_n + 1, sizeof *loaded->items);
    loaded->by_hash = calloc(logs->n + loaded->lines_n + 1, sizeof *loaded->by_hash);
    loaded->fresh = calloc(loaded->lines_n + 1, sizeof *loaded->fresh);
    if (loaded->keys == NULL || loaded->items == NULL || loaded->by_hash == NULL || loaded->fresh == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < logs->n; i++)
        loaded->items[loaded->items_n++] = logs->items[i];
    for (size_t i = 0; i < loaded->lines_n; i++) {
        const struct logsfile_line *line = &loaded->lines[i];
        loaded->keys[i] = line->key;
        if (loaded->fresh_n > 0 && line->kind == LOGSFILE_LOG && span_is(line->origin, loaded->fresh[loaded->fresh_n - 1]->origin))
            loaded->fresh[loaded->fresh_n - 1]->keys_n++;
        if (line->kind != LOGSFILE_LOG || (i > 0 && span_eq(line->origin, line[-1].origin)) ||
            find(logs->items, logs->n, line->origin) != NULL)
            continue;
        struct log *log = log_new(line->origin);
        if (log == NULL)
            return fail(why, ERR_ENV, "out of memory");
        log->keys = &loaded->keys[i];
        log->keys_n = 1;
        loaded->fresh[loaded->fresh_n++] = loaded->items[loaded->items_n++] = log;
    }
    return OK;
}

/* Under the lock: the lines' keys become their logs' own, and a log without a line goes out of use. */
static void put_in_place(struct logs *logs, struct loaded *loaded)
{
    free(logs->items);
    free(logs->by_hash);
    free(logs->keys);
    buf_free(&logs->text);
    logs->items = loaded->items;
    logs->by_hash = loaded->by_hash;
    logs->n = loaded->items_n;
    logs->keys = loaded->keys;
    logs->text = loaded->text;
    if (logs->n > 1)
        qsort(logs->items, logs->n, sizeof *logs->items, log_order);
    for (size_t i = 0; i < logs->n; i++) {
        logs->by_hash[i] = logs->items[i];
        logs->items[i]->keys_n = 0;
        atomic_store(&logs->items[i]->qpd, logs->qpd);
    }
    if (logs->n > 1)
        qsort(logs->by_hash, logs->n, sizeof *logs->by_hash, hash_order);
    for (size_t i = 0; i < loaded->lines_n; i++) {
        const struct logsfile_line *line = &loaded->lines[i];
        struct log *log = line->kind == LOGSFILE_REMOVED ? NULL : find(logs->items, logs->n, line->origin);
        if (log != NULL && line->kind == LOGSFILE_LIMIT)
            atomic_store(&log->qpd, line->qpd);
        else if (log != NULL && log->keys_n++ == 0)
            log->keys = &logs->keys[i];
    }
}

/* What is known of a log from before. Not in the table yet: nobody asks for it. */
static enum err restore(struct logs *logs, struct log *log, struct why *why)
{
    struct head_record last;
    bool found;
    enum err err = notes_restore(logs, log, why);
    if (err == OK)
        err = signer_last(logs->signer, span_str(log->origin), &found, &last, why);
    if (err == OK) {
        atomic_store(&log->suspended, last.suspended);
        evidence_restore(logs, log);
    }
    return err;
}

static enum err load(struct logs *logs, struct why *why)
{
    struct loaded loaded = { 0 };
    char *path = path_join(logs->dir, "logs");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, LOGS_BYTES_MAX, &loaded.text, why);
    if (err == OK)
        err = logs_parse(span_buf(&loaded.text), path, &loaded.lines, &loaded.lines_n, why);
    if (err == OK)
        err = gather(logs, &loaded, why);
    for (size_t i = 0; i < loaded.fresh_n && err == OK; i++)
        err = restore(logs, loaded.fresh[i], why);
    if (err == OK) {
        pthread_rwlock_wrlock(&logs->lock);
        put_in_place(logs, &loaded);
        pthread_rwlock_unlock(&logs->lock);
    } else {
        for (size_t i = 0; i < loaded.fresh_n; i++)
            log_free(loaded.fresh[i]);
        free(loaded.items);
        free(loaded.by_hash);
        free(loaded.keys);
        buf_free(&loaded.text);
    }
    free(path);
    free(loaded.fresh);
    free(loaded.lines);
    return err;
}

enum err logs_load(struct logs *logs, struct why *why)
{
    pthread_mutex_lock(&logs->load_lock);
    enum err err = load(logs, why);
    pthread_mutex_unlock(&logs->load_lock);
    return err;
}

bool logs_quota_allows(struct logs *logs, struct log *log, bool grows, unsigned *wait_s)
{
    uint64_t qpd = atomic_load(&log->qpd);
    if (qpd == 0)
        return true;
    struct allowance day = allowance_of(qpd, DAY_US);
    pthread_mutex_lock(&logs->quota_lock);
    uint64_t wait_ms = allowance_wait_ms(&day, grows ? log->growth_clear_us : log->other_clear_us, clock_monotonic_us());
    pthread_mutex_unlock(&logs->quota_lock);
    *wait_s = (unsigned)(wait_ms / 1000) + 1;
    return wait_ms == 0;
}

void logs_quota_take(struct logs *logs, struct log *log, bool grew)
{
    uint64_t qpd = atomic_load(&log->qpd);
    if (qpd == 0)
        return;
    struct allowance day = allowance_of(qpd, DAY_US);
    pthread_mutex_lock(&logs->quota_lock);
    allowance_take(&day, grew ? &log->growth_clear_us : &log->other_clear_us, 1, clock_monotonic_us());
    pthread_mutex_unlock(&logs->quota_lock);
}
