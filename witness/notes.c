#include "witness/notes.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/cosignature.h"
#include "lib/sys/clock.h"
#include "lib/sys/cond.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "witness/evidence.h"
#include "witness/limits.h"

struct notes_flusher {
    struct logs *logs;
    pthread_t thread;
    bool stopping; /* under notes_lock */
};

void notes_keep(struct logs *logs, struct log *log, struct buf *note, const struct head *head, uint64_t time_s)
{
    pthread_mutex_lock(&logs->notes_lock);
    if (!note->failed && (log->note.len == 0 || head->size >= log->size)) {
        struct buf old = log->note;
        log->note = *note;
        *note = old;
        log->size = head->size;
        log->root = head->root;
        log->time_s = time_s;
        log->dirty = true;
        if (!logs->notes_dirty)
            pthread_cond_signal(&logs->notes_changed);
        logs->notes_dirty = true;
    }
    pthread_mutex_unlock(&logs->notes_lock);
    buf_free(note);
}

void notes_copy(struct logs *logs, struct log *log, struct buf *out, uint64_t *size, uint64_t *time_s)
{
    pthread_mutex_lock(&logs->notes_lock);
    buf_span(out, span_buf(&log->note));
    *size = log->size;
    *time_s = log->time_s;
    pthread_mutex_unlock(&logs->notes_lock);
}

/* DIR/checkpoints/<origin hash> */
static char *note_path(const struct logs *logs, const struct log *log)
{
    char name[sizeof "checkpoints/" + 64];
    snprintf(name, sizeof name, "checkpoints/%s", log->hex);
    return path_join(logs->dir, name);
}

/* Is this what the witness once said: signed by the log, and by itself? */
static enum err check_note(const struct logs *logs, const struct log *log, struct span text, struct head *head, uint64_t *time_s,
                           struct why *why)
{
    struct note note;
    struct checkpoint checkpoint;
    bool cosigned = false;
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_open(&checkpoint, &note, span_str(log->origin), log->keys, log->keys_n, why);
    if (err == OK)
        err = cosignature_verify(&note, signer_key(logs->signer), 1, &cosigned, time_s, why);
    if (err == OK && !cosigned)
        err = fail(why, ERR_REFUSED, "it has no cosignature of this witness");
    if (err == OK)
        *head = (struct head){ checkpoint.size, checkpoint.root };
    return err;
}

/* A head is durable in the heads file before it is cosigned. So what was cosigned and is not there shows that the file was put
 * back: the signer has forgotten what it signed. */
static enum err check_memory(const struct logs *logs, const struct log *log, const struct head *head, const char *path,
                             struct why *why)
{
    struct head_record last;
    bool found = false;
    enum err err = signer_last(logs->signer, span_str(log->origin), &found, &last, why);
    if (err != OK ||
        (found && (head->size < last.head.size || (head->size == last.head.size && hash_eq(&head->root, &last.head.root)))))
        return err;
    return fail(why, ERR_REFUSED,
                "%s/heads is older than what was cosigned: %s has %llu entries, heads %llu. Put the right file back, or take this "
                "folder for a backup: stele-witness backup, restore, resume (spec/witness.md)",
                logs->dir, path, (unsigned long long)head->size, (unsigned long long)(found ? last.head.size : 0));
}

enum err notes_restore(struct logs *logs, struct log *log, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct why inner;
    bool found = false;
    struct head head = { 0 };
    uint64_t time_s = 0;
    char *path = note_path(logs, log);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && (file_read_if(path, NOTE_BYTES_MAX, &text, &found, &inner) != OK ||
                      (found && check_note(logs, log, span_buf(&text), &head, &time_s, &inner) != OK))) {
        report(REPORT_WARN, "note-not-served", "file=%s why=%s", report_quote(path), report_quote(inner.text));
        found = false;
    }
    if (err == OK && found)
        err = check_memory(logs, log, &head, path, why);
    if (err == OK && found) {
        log->note = text;
        log->size = head.size;
        log->root = head.root;
        log->time_s = time_s;
        text = BUF_EMPTY;
    }
    buf_free(&text);
    free(path);
    return err;
}

/* The next flush, of whatever log, or at the end, tries again. */
static void stays_dirty(struct logs *logs, struct log *log)
{
    pthread_mutex_lock(&logs->notes_lock);
    log->dirty = true;
    pthread_mutex_unlock(&logs->notes_lock);
}

static void flush_one(struct logs *logs, struct log *log)
{
    struct buf copy = BUF_EMPTY;
    struct why why;
    pthread_mutex_lock(&logs->notes_lock);
    bool dirty = log->dirty;
    if (dirty)
        buf_span(&copy, span_buf(&log->note));
    log->dirty = false;
    pthread_mutex_unlock(&logs->notes_lock);
    if (!dirty)
        return;
    char *path = note_path(logs, log);
    enum err err = path == NULL ? fail(&why, ERR_ENV, "out of memory") : buf_done(&copy, &why);
    if (err == OK)
        err = file_replace_soft(path, 0644, span_buf(&copy), &why);
    if (err != OK) {
        report_why(REPORT_WARN, "note-not-written", &why);
        stays_dirty(logs, log);
    }
    free(path);
    buf_free(&copy);
}

static void flush_all(struct logs *logs)
{
    pthread_rwlock_rdlock(&logs->lock);
    size_t n = logs->n;
    struct log **items = calloc(n + 1, sizeof *items);
    if (items == NULL)
        n = 0; /* the next turn may find memory */
    if (n > 0)
        memcpy(items, logs->items, n * sizeof *items);
    pthread_rwlock_unlock(&logs->lock);
    /* Without the lock while files are written: a log once known stays. */
    for (size_t i = 0; i < n; i++) {
        flush_one(logs, items[i]);
        evidence_flush(logs, items[i]);
    }
    free(items);
}

static void *flush_loop(void *ctx)
{
    struct notes_flusher *flusher = ctx;
    struct logs *logs = flusher->logs;
    for (bool stopping = false; !stopping;) {
        pthread_mutex_lock(&logs->notes_lock);
        while (!flusher->stopping && !logs->notes_dirty)
            pthread_cond_wait(&logs->notes_changed, &logs->notes_lock);
        /* One write for all that a log says within this time. */
        uint64_t until_ms = clock_monotonic_ms() + FLUSH_MS;
        while (!flusher->stopping && cond_wait_until(&logs->notes_changed, &logs->notes_lock, until_ms))
            continue;
        stopping = flusher->stopping;
        logs->notes_dirty = false;
        pthread_mutex_unlock(&logs->notes_lock);
        flush_all(logs);
    }
    return NULL;
}

enum err notes_flusher_start(struct notes_flusher **out, struct logs *logs, struct why *why)
{
    char *path = path_join(logs->dir, "checkpoints");
    struct notes_flusher *flusher = calloc(1, sizeof *flusher);
    enum err err = path == NULL || flusher == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(path, 0755, why);
    free(path);
    if (err == OK) {
        flusher->logs = logs;
        if (pthread_create(&flusher->thread, NULL, flush_loop, flusher) != 0)
            err = fail(why, ERR_ENV, "no thread for the notes");
    }
    if (err != OK)
        free(flusher);
    else
        *out = flusher;
    return err;
}

void notes_flusher_stop(struct notes_flusher *flusher)
{
    if (flusher == NULL)
        return;
    pthread_mutex_lock(&flusher->logs->notes_lock);
    flusher->stopping = true;
    pthread_cond_signal(&flusher->logs->notes_changed);
    pthread_mutex_unlock(&flusher->logs->notes_lock);
    pthread_join(flusher->thread, NULL);
    free(flusher);
}
