#include "client/memory_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/file.h"
#include "lib/sys/report.h"

/* STATE/heads/<hex of SHA-256 of the origin>. */
static char *path_of(const struct client_config *config, struct span origin)
{
    struct hash hash = sha256_of(origin);
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "%s/heads/", config->state);
    hex_encode(&path, span_of(hash.b, sizeof hash.b));
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

bool memory_forked(const struct client_config *config, struct span origin)
{
    char *path = client_evidence_path(config, origin, "");
    /* What cannot be looked at counts as evidence: a fork is never forgotten by a mistake. */
    bool forked = path == NULL || access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    free(path);
    return forked;
}

enum err memory_refuse_forked(struct span origin, struct why *why)
{
    return fail(why, ERR_REFUSED, "the log %.*s has FORKED, and is not believed any more", SPAN_FMT(origin));
}

enum err memory_load(const struct client_config *config, struct span origin, struct buf *text, struct memoryfile *out, bool *found,
                     struct why *why)
{
    char *path = path_of(config, origin);
    buf_clear(text);
    *found = false;
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, MEMORY_BYTES_MAX, text, found, why);
    struct why damage;
    if (err == OK && *found && (memoryfile_parse(out, span_buf(text), &damage) != OK || !span_eq(out->origin, origin))) {
        struct buf aside = BUF_EMPTY;
        buf_fmt(&aside, "%s.damaged", path);
        buf_byte(&aside, '\0');
        report(REPORT_ERROR, "head-memory-damaged", "file=%s why=%s", path, report_quote(damage.text));
        if (!aside.failed && rename(path, (const char *)aside.data) != 0)
            err = fail(why, ERR_ENV, "cannot put %s aside: %s", path, strerror(errno));
        buf_free(&aside);
        *found = false;
    }
    free(path);
    return err;
}

enum err memory_store(const struct client_config *config, const struct memoryfile *file, struct why *why)
{
    struct buf text = BUF_EMPTY;
    char *path = path_of(config, file->origin);
    memoryfile_render(&text, file);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : buf_done(&text, why);
    if (err == OK)
        err = file_replace(path, 0644, span_buf(&text), why);
    free(path);
    buf_free(&text);
    return err;
}

enum err memory_lock(const struct client_config *config, int *fd, struct why *why)
{
    char *dir = path_join(config->state, "heads"), *path = path_join(config->state, "heads/lock");
    *fd = -1;
    enum err err = dir == NULL || path == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0755, why);
    if (err == OK)
        err = file_lock(path, fd, why);
    free(dir);
    free(path);
    return err;
}

static enum err take_keys(const struct client_config *config, struct forkfile *file, struct policy *policy, struct why *why)
{
    enum err err = client_policy_read(config, policy, why);
    for (size_t i = 0; err == OK && i < policy->logs_n && file->keys_n < FORKFILE_KEYS_MAX; i++)
        if (span_eq(policy->logs[i].key.name, file->origin))
            file->keys[file->keys_n++] = policy->logs[i].key;
    return err;
}

/* Puts the evidence down, once. *proven is false where it is none: the remembered note does not verify under the policy, whose
 * key for this log is another one now. */
static enum err keep_evidence(const struct client_config *config, struct forkfile *file, const char *suffix, bool *proven,
                              struct why *why)
{
    struct policy policy = { 0 };
    struct checkpoint heads[2];
    struct buf text = BUF_EMPTY;
    struct why ignored;
    char *path = client_evidence_path(config, file->origin, suffix), *dir = path_join(config->state, "evidence");
    enum err err = path == NULL || dir == NULL ? fail(why, ERR_ENV, "out of memory") : take_keys(config, file, &policy, why);
    *proven = err == OK && forkfile_verify(file, heads, &ignored) == OK;
    if (*proven) {
        forkfile_render(&text, file);
        err = buf_done(&text, why);
        if (err == OK)
            err = dir_make(dir, 0755, why);
        if (err == OK && access(path, F_OK) != 0)
            err = file_create(path, 0644, span_buf(&text), why);
    }
    buf_free(&text);
    policy_free(&policy);
    free(path);
    free(dir);
    return err;
}

enum err memory_fork_found(const struct client_config *config, struct forkfile *file, struct why *why)
{
    struct why trouble = { "" };
    bool proven;
    enum err err = keep_evidence(config, file, "", &proven, &trouble);
    if (err == OK && !proven)
        return OK;
    char *path = client_evidence_path(config, file->origin, "");
    fail(why, ERR_REFUSED,
         "the log %.*s FORKED: it signed two histories, both under the quorum; nothing in it counts any more; %s%s",
         SPAN_FMT(file->origin), err == OK ? "the evidence, for `stele verify-evidence`: " : "the evidence could not be kept: ",
         err == OK ? path : trouble.text);
    report_why(REPORT_ERROR, "log-forked", why);
    free(path);
    return ERR_REFUSED;
}

static enum err same_size_fork(const struct client_config *config, const struct memory_head *before, struct span note,
                               const char *suffix, bool *proven, struct why *why)
{
    struct forkfile *file = calloc(1, sizeof *file);
    if (file == NULL)
        return fail(why, ERR_ENV, "out of memory");
    file->origin = before->checkpoint.origin;
    file->notes[0] = before->note;
    file->notes[1] = note;
    enum err err = OK;
    if (*suffix != '\0') {
        err = keep_evidence(config, file, suffix, proven, why);
    } else {
        err = memory_fork_found(config, file, why);
        *proven = err != OK;
    }
    free(file);
    return err;
}

/* Under the lock: what another process remembered meanwhile is there. */
static enum err remember(const struct client_config *config, const struct memory_head *head, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct memoryfile file;
    const struct memory_head *before;
    bool found = false, forked = false;
    int fd = -1;
    enum err err = memory_lock(config, &fd, why);
    if (err == OK)
        err = memory_load(config, head->checkpoint.origin, &text, &file, &found, why);
    if (err == OK && found && (before = memoryfile_find(&file, head->checkpoint.size)) != NULL) {
        if (hash_eq(&before->checkpoint.root, &head->checkpoint.root))
            goto out;
        err = same_size_fork(config, before, head->note, "", &forked, why);
        found = false; /* where it is no fork, what is remembered is of another key, and goes */
    }
    if (err == OK && !found)
        file = (struct memoryfile){ .origin = head->checkpoint.origin, .head = *head };
    if (err == OK && found)
        memoryfile_add(&file, head);
    if (err == OK)
        err = memory_store(config, &file, why);
out:
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    return err;
}

enum err memory_see(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct memoryfile file;
    struct memory_head head;
    const struct memory_head *before = NULL;
    bool found = false;
    if (memory_forked(config, checkpoint->origin))
        return memory_refuse_forked(checkpoint->origin, why);
    enum err err = memory_load(config, checkpoint->origin, &text, &file, &found, why);
    if (err == OK && found)
        before = memoryfile_find(&file, checkpoint->size);
    /* Mostly it is known already: then nothing is locked or written. Nor where it would not stay: the sidecars of a cache that has
     * grown for a year rest on a head each. */
    bool known = before != NULL && hash_eq(&before->checkpoint.root, &checkpoint->root);
    known |= err == OK && found && before == NULL && !memoryfile_has_place(&file, checkpoint->size);
    if (err == OK && !known)
        err = memory_head_parse(&head, note, checkpoint->origin, why);
    if (err == OK && !known)
        err = remember(config, &head, why);
    buf_free(&text);
    return err;
}

enum err memory_hear(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, bool *conflict,
                     struct why *what, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct memoryfile file;
    const struct memory_head *before = NULL;
    bool found = false;
    *conflict = false;
    enum err err = memory_load(config, checkpoint->origin, &text, &file, &found, why);
    if (err == OK && found)
        before = memoryfile_find(&file, checkpoint->size);
    if (err == OK && before != NULL && !hash_eq(&before->checkpoint.root, &checkpoint->root)) {
        err = same_size_fork(config, before, note, ".unwitnessed", conflict, why);
        char *path = client_evidence_path(config, checkpoint->origin, ".unwitnessed");
        if (*conflict)
            fail(what, ERR_REFUSED,
                 "the log %.*s signed a second head of %llu entries, which the quorum did not see; what is under the quorum still "
                 "counts; the evidence, for `stele verify-evidence`: %s",
                 SPAN_FMT(checkpoint->origin), (unsigned long long)checkpoint->size, path != NULL ? path : "STATE/evidence");
        if (*conflict)
            report_why(REPORT_ERROR, "log-signed-twice", what);
        free(path);
    }
    buf_free(&text);
    return err;
}

static void show_head(const struct client_config *config, struct evidence_head *head)
{
    struct why what, why;
    bool conflict;
    struct span note = span_of(head->note, head->note_len);
    enum err err = head->proven         ? memory_see(config, &head->view.checkpoint, note, &why)
                   : head->quorum_short ? memory_hear(config, &head->view.checkpoint, note, &conflict, &what, &why)
                                        : OK;
    if (err == ERR_REFUSED)
        head->why_not = why;
    head->proven = head->proven && err != ERR_REFUSED;
    if (err != OK && err != ERR_REFUSED)
        report_why(REPORT_WARN, "head-not-remembered", &why);
}

void memory_show(const struct client_config *config, struct evidence_heads *heads, struct evidence *evidence)
{
    for (size_t i = 0; i < heads->n; i++)
        show_head(config, heads->items[i]);
    /* Those that were shown before the one that told. */
    for (size_t i = 0; i < heads->n; i++)
        if (heads->items[i]->proven && memory_forked(config, heads->items[i]->view.checkpoint.origin)) {
            heads->items[i]->proven = false;
            memory_refuse_forked(heads->items[i]->view.checkpoint.origin, &heads->items[i]->why_not);
        }
    for (size_t i = 0; evidence != NULL && i < evidence->n; i++) {
        struct evidence_item *item = evidence->items[i];
        if (!item->proven || item->head->proven)
            continue;
        item->proven = false;
        item->why_not = item->head->why_not;
    }
}
