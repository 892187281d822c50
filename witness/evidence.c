#include "witness/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/forkfile.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"

static char *file_path(const struct logs *logs, const char *folder, const struct log *log)
{
    char name[sizeof "evidence/" + 64];
    snprintf(name, sizeof name, "%s/%s", folder, log->hex);
    return path_join(logs->dir, name);
}

static void put_note(struct buf *out, const struct signed_head *head)
{
    buf_span(out, head->text);
    buf_byte(out, '\n');
    buf_span(out, head->lines);
}

/* A file of two heads; failed where it would say nothing to others: the keys were changed since one of them was taken. Under
 * logs->lock, for the keys. */
static void make_file(struct buf *out, const struct log *log, bool suspect, struct span first, struct span second)
{
    struct forkfile *file = calloc(1, sizeof *file);
    struct checkpoint heads[2];
    buf_clear(out);
    if (file == NULL) {
        out->failed = true;
        return;
    }
    *file = (struct forkfile){ .suspect = suspect, .origin = span_str(log->origin), .notes = { first, second } };
    for (; file->keys_n < log->keys_n && file->keys_n < FORKFILE_KEYS_MAX; file->keys_n++)
        file->keys[file->keys_n] = log->keys[file->keys_n];
    if (forkfile_verify(file, heads, NULL) == OK)
        forkfile_render(out, file);
    else
        out->failed = true;
    free(file);
}

static bool contradict(const struct head *a, const struct checkpoint *b)
{
    return a->size == b->size && !hash_eq(&a->root, &b->root);
}

/* Two heads of one size: the log forked, whoever sent them. Under both locks. */
static void take_evidence(struct logs *logs, struct log *log, struct span first, const struct signed_head *second)
{
    struct buf note = BUF_EMPTY;
    put_note(&note, second);
    make_file(&log->evidence, log, false, first, span_buf(&note));
    if (!note.failed && !log->evidence.failed) {
        log->forked = true;
        atomic_store(&log->evidence_dirty, true);
        logs->notes_dirty = true;
        pthread_cond_signal(&logs->notes_changed);
        report(REPORT_ERROR, "log-forked", "origin=%s size=%llu file=%s", report_quote(log->origin),
               (unsigned long long)second->checkpoint->size, report_quote(log->hex));
    } else {
        buf_free(&log->evidence);
    }
    buf_free(&note);
}

static void forget_suspect(struct logs *logs, struct log *log)
{
    buf_free(&log->suspect);
    atomic_store(&log->suspected, false);
    atomic_store(&log->suspect_dirty, true);
    logs->notes_dirty = true;
    pthread_cond_signal(&logs->notes_changed);
}

/* The newest takes the place of an older one: whoever can send one can send another, and each was reported. */
static void take_suspect(struct logs *logs, struct log *log, const struct signed_head *head)
{
    struct buf note = BUF_EMPTY;
    put_note(&note, head);
    if (note.failed) {
        buf_free(&note);
        return;
    }
    buf_free(&log->suspect);
    log->suspect = note;
    log->suspect_head = (struct head){ head->checkpoint->size, head->checkpoint->root };
    atomic_store(&log->suspected, true);
    atomic_store(&log->suspect_dirty, true);
    logs->notes_dirty = true;
    pthread_cond_signal(&logs->notes_changed);
}

static enum err make_folder(const struct logs *logs, const char *name, struct why *why)
{
    char *path = path_join(logs->dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(path, 0755, why);
    free(path);
    return err;
}

/* Where it fails, the next flush tries again. The file is whole or not there: a start that finds one looks no further. */
static void flush_evidence(struct logs *logs, struct log *log, struct buf *text)
{
    struct why why;
    char *path = file_path(logs, "evidence", log);
    enum err err = path == NULL ? fail(&why, ERR_ENV, "out of memory") : make_folder(logs, "evidence", &why);
    if (err == OK)
        err = file_replace(path, 0644, span_buf(text), &why);
    if (err != OK) {
        report_why(REPORT_ERROR, "evidence-not-written", &why);
        pthread_mutex_lock(&logs->notes_lock);
        log->evidence = *text;
        *text = BUF_EMPTY;
        atomic_store(&log->evidence_dirty, true);
        pthread_mutex_unlock(&logs->notes_lock);
    }
    free(path);
}

/* `text` is empty where the suspect was settled. */
static void flush_suspect(struct logs *logs, struct log *log, struct span text)
{
    struct why why;
    char *path = file_path(logs, "suspects", log);
    enum err err = path == NULL ? fail(&why, ERR_ENV, "out of memory") : make_folder(logs, "suspects", &why);
    if (err == OK)
        err = text.len == 0 ? file_remove(path, &why) : file_replace_soft(path, 0644, text, &why);
    if (err != OK)
        report_why(REPORT_WARN, "suspect-not-written", &why);
    free(path);
}

/* Under logs->evidence_lock. */
static void flush(struct logs *logs, struct log *log)
{
    struct buf evidence = BUF_EMPTY, suspect = BUF_EMPTY;
    pthread_rwlock_rdlock(&logs->lock);
    pthread_mutex_lock(&logs->notes_lock);
    bool evidence_dirty = log->evidence_dirty, suspect_dirty = log->suspect_dirty;
    if (evidence_dirty) {
        evidence = log->evidence;
        log->evidence = BUF_EMPTY;
    }
    if (suspect_dirty && log->suspect.len > 0)
        make_file(&suspect, log, true, span_buf(&log->note), span_buf(&log->suspect));
    atomic_store(&log->evidence_dirty, false);
    atomic_store(&log->suspect_dirty, false);
    pthread_mutex_unlock(&logs->notes_lock);
    pthread_rwlock_unlock(&logs->lock);
    if (evidence_dirty)
        flush_evidence(logs, log, &evidence);
    if (suspect_dirty && !suspect.failed)
        flush_suspect(logs, log, span_buf(&suspect));
    buf_free(&evidence);
    buf_free(&suspect);
}

/* Under both locks. */
static void see(struct logs *logs, struct log *log, const struct signed_head *head, bool cosigned, bool unproven)
{
    struct head known = { atomic_load(&log->size), log->root };
    bool suspected = atomic_load(&log->suspected), has_note = log->note.len > 0;
    if (log->keys_n == 0)
        suspected = has_note = false; /* removed in between */
    if (!log->forked && has_note && contradict(&known, head->checkpoint))
        take_evidence(logs, log, span_buf(&log->note), head);
    else if (!log->forked && suspected && contradict(&log->suspect_head, head->checkpoint))
        take_evidence(logs, log, span_buf(&log->suspect), head);
    if (cosigned && suspected && log->suspect_head.size == head->checkpoint->size)
        forget_suspect(logs, log); /* it was honest, or has become evidence */
    else if (unproven && has_note && known.size > 0 && head->checkpoint->size > known.size)
        take_suspect(logs, log, head);
}

void evidence_see(struct logs *logs, struct log *log, const struct signed_head *head, bool cosigned, bool unproven)
{
    if (cosigned && !atomic_load(&log->suspected))
        return; /* it follows on all that was cosigned */
    pthread_rwlock_rdlock(&logs->lock);
    pthread_mutex_lock(&logs->notes_lock);
    bool known = log->forked;
    see(logs, log, head, cosigned, unproven);
    bool found = log->forked && !known;
    pthread_mutex_unlock(&logs->notes_lock);
    pthread_rwlock_unlock(&logs->lock);
    if (found) {
        /* Once a log, so its sync may be waited for; nobody else may be writing it still. */
        pthread_mutex_lock(&logs->evidence_lock);
        flush(logs, log);
        pthread_mutex_unlock(&logs->evidence_lock);
    }
}

/* The suspect's note out of its file. */
static enum err read_suspect(struct log *log, struct span text, struct why *why)
{
    struct forkfile *file = calloc(1, sizeof *file);
    struct checkpoint heads[2];
    enum err err = file == NULL ? fail(why, ERR_ENV, "out of memory") : forkfile_parse(file, text, why);
    if (err == OK)
        err = forkfile_verify(file, heads, why);
    if (err == OK && !span_is(file->origin, log->origin))
        err = fail(why, ERR_REFUSED, "it is about another log");
    if (err == OK) {
        buf_span(&log->suspect, file->notes[1]);
        log->suspect_head = (struct head){ heads[1].size, heads[1].root };
        atomic_store(&log->suspected, !log->suspect.failed);
    }
    free(file);
    return err;
}

void evidence_restore(struct logs *logs, struct log *log)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    bool found = false;
    char *evidence = file_path(logs, "evidence", log), *suspect = file_path(logs, "suspects", log);
    enum err err = evidence == NULL || suspect == NULL ? fail(&why, ERR_ENV, "out of memory")
                                                       : file_read_if(suspect, FORKFILE_BYTES_MAX, &text, &found, &why);
    pthread_mutex_lock(&logs->notes_lock);
    if (err == OK && found)
        err = read_suspect(log, span_buf(&text), &why);
    log->forked = evidence != NULL && access(evidence, F_OK) == 0;
    pthread_mutex_unlock(&logs->notes_lock);
    if (err != OK)
        report(REPORT_WARN, "suspect-not-read", "origin=%s why=%s", report_quote(log->origin), report_quote(why.text));
    buf_free(&text);
    free(evidence);
    free(suspect);
}

void evidence_flush(struct logs *logs, struct log *log)
{
    if (!atomic_load(&log->evidence_dirty) && !atomic_load(&log->suspect_dirty))
        return;
    pthread_mutex_lock(&logs->evidence_lock);
    flush(logs, log);
    pthread_mutex_unlock(&logs->evidence_lock);
}
