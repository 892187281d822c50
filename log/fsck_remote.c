/*
 * `stele-log fsck --from URL`: the auditor's. Reads every entry and every tile of a remote log and recomputes its tree up to its
 * signed checkpoint; what was verified once is remembered, and the next checkpoint must have grown out of it.
 *
 * Entries are proven as they are read: every AUDIT_STEP_BUNDLES the tree so far must be a beginning of the checkpoint's. So what
 * the state calls verified is, whenever it was written.
 */
#include "log/fsck.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/policy.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "log/audit.h"
#include "log/audit_state.h"
#include "log/entry.h"
#include "log/folder.h"
#include "log/limits.h"
#include "log/lost_lists.h"
#include "log/remote.h"

enum { SAVE_EVERY_MS = 1000, STATE_BYTES_MAX = NOTE_BYTES_MAX + 256 };

struct auditor {
    const struct fsck_remote *options;
    unsigned patience_ms;
    struct policy policy; /* where a policy says who must have signed */
    struct vkey key;      /* otherwise */
    struct remote *remote;
    struct buf note; /* the checkpoint that is audited */
    struct head head;
    struct span origin; /* in `note` */
    struct buf state_text;
    struct head verified;
    uint64_t saved_ms;
    struct lost_lists lost;
    struct audit audit;
};

/* A thread's own. */
struct reader {
    struct auditor *auditor;
    struct remote *remote;
    struct buf payload;
};

static void reader_close(void *ctx)
{
    struct reader *reader = ctx;
    remote_close(reader->remote);
    buf_free(&reader->payload);
    free(reader);
}

static enum err reader_open(void *ctx, void **out, struct why *why)
{
    struct auditor *auditor = ctx;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return fail(why, ERR_ENV, "out of memory");
    reader->auditor = auditor;
    enum err err = remote_open(&reader->remote, auditor->options->url, auditor->patience_ms, why);
    if (err != OK) {
        reader_close(reader);
        return err;
    }
    remote_use_size(reader->remote, auditor->head.size);
    *out = reader;
    return OK;
}

static enum err read_bundle(void *ctx, uint64_t number, unsigned width, struct span *bundle, struct why *why)
{
    return remote_bundle(((struct reader *)ctx)->remote, number, width, bundle, why);
}

static enum err read_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    return remote_tile(((struct reader *)ctx)->remote, tile, bytes, why);
}

/* --full: the envelope's form and signature, and its input list. */
static enum err check_entry(void *ctx, uint64_t index, struct span bytes, struct why *why)
{
    struct reader *reader = ctx;
    struct store_entry entry;
    struct span text;
    bool found = true;
    enum err err = entry_verify(&entry, bytes, index, &reader->payload, why);
    if (err != OK)
        return err;
    if (entry.has_input_list)
        err = remote_inputs(reader->remote, &entry.input_list, &text, &found, why);
    if (err == OK && !found)
        lost_lists_add(&reader->auditor->lost, &entry.input_list, "missing", index);
    entry_free(&entry);
    return err;
}

static enum err save(struct auditor *auditor, struct why *why)
{
    if (auditor->options->state_file == NULL)
        return OK;
    struct buf text = BUF_EMPTY;
    audit_state_render(&text, &(struct audit_state){ auditor->verified, span_buf(&auditor->note) });
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = file_replace(auditor->options->state_file, 0644, span_buf(&text), why);
    buf_free(&text);
    auditor->saved_ms = clock_monotonic_ms();
    return err;
}

static enum err prove_step(void *ctx, const struct frontier *frontier, struct why *why)
{
    struct auditor *auditor = ctx;
    struct head so_far = { frontier->size, frontier_root(frontier) };
    enum err err = remote_extends(auditor->remote, &so_far, &auditor->head, why);
    if (err != OK)
        return err == ERR_ENV ? err
                              : fail_in(why, ERR_REFUSED, "the entries up to %llu are not those that the checkpoint signs",
                                        (unsigned long long)so_far.size);
    auditor->verified = so_far;
    return clock_monotonic_ms() - auditor->saved_ms < SAVE_EVERY_MS ? OK : save(auditor, why);
}

/* Verifies a note as the policy, or the key, demands. */
static enum err open_note(struct auditor *auditor, struct span text, struct head *head, struct span *origin, struct why *why)
{
    if (auditor->options->policy_file == NULL) {
        *origin = auditor->key.name;
        return folder_open_checkpoint(&auditor->key, text, head, why);
    }
    static struct policy_view view;
    enum err err = policy_check(&auditor->policy, text, &view, NULL, why);
    *head = (struct head){ view.checkpoint.size, view.checkpoint.root };
    *origin = view.checkpoint.origin;
    return err;
}

static enum err get_checkpoint(struct auditor *auditor, struct why *why)
{
    struct span note;
    enum err err = remote_open(&auditor->remote, auditor->options->url, auditor->patience_ms, why);
    if (err == OK)
        err = remote_checkpoint(auditor->remote, &note, why);
    if (err != OK)
        return err;
    buf_span(&auditor->note, note);
    err = buf_done(&auditor->note, why);
    if (err == OK && (err = open_note(auditor, span_buf(&auditor->note), &auditor->head, &auditor->origin, why)) != OK)
        fail_in(why, err, "the remote log's checkpoint");
    remote_use_size(auditor->remote, auditor->head.size);
    return err;
}

/* Two signed checkpoints that do not fit together are worth more than a message. */
static enum err conflict(struct auditor *auditor, struct why *why)
{
    struct buf path = BUF_EMPTY;
    struct why own;
    buf_fmt(&path, "%s.conflict", auditor->options->state_file);
    buf_byte(&path, '\0');
    enum err err = buf_done(&path, &own);
    if (err == OK)
        err = file_replace((const char *)path.data, 0644, span_buf(&auditor->note), &own);
    if (err == OK)
        fail_in(why, ERR_REFUSED, "keep %s and %s.conflict, which hold two checkpoints that the log signed",
                auditor->options->state_file, auditor->options->state_file);
    buf_free(&path);
    return ERR_REFUSED;
}

/* What was verified before must be a beginning of what is to be verified now. */
static enum err follow(struct auditor *auditor, const struct audit_state *state, struct why *why)
{
    struct head before;
    struct span origin;
    enum err err = open_note(auditor, state->note, &before, &origin, why);
    if (err == OK && (!span_eq(origin, auditor->origin) || state->verified.size > before.size))
        err = fail(why, ERR_REFUSED, "it is of another log, or its numbers contradict each other");
    if (err != OK)
        return fail_in(why, err, "%s", auditor->options->state_file);
    if (auditor->head.size < before.size) {
        fail(why, ERR_REFUSED, "the log shows %llu entries, and showed %llu before: it was rolled back",
             (unsigned long long)auditor->head.size, (unsigned long long)before.size);
        return conflict(auditor, why);
    }
    if ((err = remote_extends(auditor->remote, &before, &auditor->head, why)) != OK)
        return err == ERR_ENV ? err : conflict(auditor, why);
    if (state->verified.size == 0)
        return OK;
    auditor->verified = state->verified;
    return audit_resume(&auditor->audit, state->verified.size, &state->verified.root, why);
}

static enum err resume(struct auditor *auditor, struct why *why)
{
    struct audit_state state;
    bool found = false;
    const char *file = auditor->options->state_file;
    enum err err = file == NULL ? OK : file_read_if(file, STATE_BYTES_MAX, &auditor->state_text, &found, why);
    if (err != OK || !found)
        return err;
    err = audit_state_parse(&state, span_buf(&auditor->state_text), why);
    return err == OK ? follow(auditor, &state, why) : fail_in(why, err, "%s", file);
}

static enum err run(struct auditor *auditor, struct why *why)
{
    struct why own;
    uint64_t from = auditor->audit.frontier.size, started_us = clock_monotonic_us();
    enum err err = audit_run(&auditor->audit, why);
    struct head whole = { auditor->audit.frontier.size, frontier_root(&auditor->audit.frontier) };
    if (err == OK && !hash_eq(&whole.root, &auditor->head.root))
        err = fail(why, ERR_REFUSED, "the entries do not give the root that the checkpoint signs");
    if (err == OK)
        auditor->verified = whole;
    enum err saved = save(auditor, err == OK ? why : &own);
    lost_lists_print(&auditor->lost);
    if (err == ERR_MALFORMED)
        return ERR_REFUSED;
    if (err != OK || saved != OK)
        return err != OK ? err : saved;
    double seconds = (double)(clock_monotonic_us() - started_us) / 1e6;
    printf("%.*s: %llu entries, %llu of them read now, are those that its checkpoint signs%s; %.0f entries a second\n",
           SPAN_FMT(auditor->origin), (unsigned long long)whole.size, (unsigned long long)(whole.size - from),
           auditor->options->full ? ", each with its signature" : "", (double)(whole.size - from) / (seconds > 0 ? seconds : 1));
    return auditor->lost.n == 0 ? OK
                                : fail(why, ERR_REFUSED,
                                       "%llu input lists are missing there: anybody may post them again with "
                                       "their attestation",
                                       (unsigned long long)auditor->lost.n);
}

static enum err load_trust(struct auditor *auditor, struct why *why)
{
    const struct fsck_remote *options = auditor->options;
    struct buf text = BUF_EMPTY;
    if ((options->policy_file == NULL) == (options->vkey == NULL))
        return fail(why, ERR_USAGE, "--from wants --policy FILE or --key VKEY: who must have signed what it shows?");
    if (options->vkey != NULL)
        return vkey_parse(&auditor->key, span_str(options->vkey), SIG_ED25519, why);
    enum err err = file_read(options->policy_file, POLICY_BYTES_MAX, &text, why);
    if (err == OK)
        err = policy_parse(&auditor->policy, span_buf(&text), options->policy_file, why);
    buf_free(&text);
    return err;
}

static enum err audit(struct auditor *auditor, struct why *why)
{
    const struct fsck_remote *options = auditor->options;
    const struct audit_source source = { .open = reader_open,
                                         .close = reader_close,
                                         .bundle = read_bundle,
                                         .tile = read_tile,
                                         .entry = options->full ? check_entry : NULL,
                                         .ctx = auditor };
    enum err err = get_checkpoint(auditor, why);
    auditor->verified = (struct head){ 0, merkle_empty_root() };
    auditor->audit.source = &source;
    auditor->audit.threads = REMOTE_THREADS;
    auditor->audit.size = auditor->head.size;
    auditor->audit.step = prove_step;
    auditor->audit.ctx = auditor;
    if (err == OK)
        err = resume(auditor, why);
    return err == OK ? run(auditor, why) : err;
}

enum err fsck_remote(const struct fsck_remote *options, struct why *why)
{
    struct auditor *auditor = calloc(1, sizeof *auditor);
    if (auditor == NULL)
        return fail(why, ERR_ENV, "out of memory");
    auditor->options = options;
    auditor->lost = LOST_LISTS_NONE;
    enum err err = remote_patience(options->patience_s, &auditor->patience_ms, why);
    if (err == OK)
        err = load_trust(auditor, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = audit(auditor, why);
    remote_close(auditor->remote);
    policy_free(&auditor->policy);
    buf_free(&auditor->note);
    buf_free(&auditor->state_text);
    free(auditor);
    return err;
}
