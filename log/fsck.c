/*
 * `stele-log fsck`: everything recomputed from the entries, and held against what is stored and what was signed. Code of its
 * own: nothing of the sequencer's tiles is believed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "log/audit.h"
#include "log/commands.h"
#include "log/entry.h"
#include "log/folder.h"
#include "log/fsck.h"
#include "log/limits.h"
#include "log/lost_lists.h"

struct fsck {
    struct log_config config;
    struct store *store;
    struct store_view view;
    bool full;
    uint64_t indexed;
    struct audit audit;

    pthread_mutex_t lock; /* for what the readers add up */
    uint64_t runs, keys;
    struct lost_lists lost;
};

/* A thread's own. */
struct reader {
    struct fsck *fsck;
    struct store_view view;
    struct store_room room;
    struct buf payload;
    uint64_t runs, keys;
};

static enum err reader_open(void *ctx, void **out, struct why *why)
{
    struct fsck *fsck = ctx;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return fail(why, ERR_ENV, "out of memory");
    reader->fsck = fsck;
    enum err err = store_view_begin(fsck->store, &reader->view, why);
    if (err != OK) {
        free(reader);
        return err;
    }
    *out = reader;
    return OK;
}

static void reader_close(void *ctx)
{
    struct reader *reader = ctx;
    pthread_mutex_lock(&reader->fsck->lock);
    reader->fsck->runs += reader->runs;
    reader->fsck->keys += reader->keys;
    pthread_mutex_unlock(&reader->fsck->lock);
    store_view_end(&reader->view);
    store_room_free(&reader->room);
    buf_free(&reader->payload);
    free(reader);
}

static enum err read_bundle(void *ctx, uint64_t number, unsigned width, struct span *bundle, struct why *why)
{
    struct reader *reader = ctx;
    return store_view_whole_bundle(&reader->view, number, width, &reader->room, bundle, &reader->runs, why);
}

static enum err read_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    struct reader *reader = ctx;
    return store_view_whole_tile(&reader->view, tile, &reader->room, bytes, why);
}

static void damaged_list(void *ctx, const struct hash *list)
{
    struct fsck *fsck = ctx;
    lost_lists_add(&fsck->lost, list, "damaged", UINT64_MAX);
}

/* --full: the envelope's form and signature, every index, and its input list. */
static enum err check_entry(void *ctx, uint64_t index, struct span bytes, struct why *why)
{
    struct reader *reader = ctx;
    struct store_entry entry;
    enum store_list_state state = STORE_LIST_RIGHT;
    enum err err = entry_verify(&entry, bytes, index, &reader->payload, why);
    if (err != OK)
        return err;
    if (index < reader->fsck->indexed)
        err = store_view_check_keys(&reader->view, &entry, &reader->keys, why);
    if (err == OK)
        err = store_view_check_leaf(&reader->view, &entry, why);
    if (err == OK && entry.has_input_list)
        err = store_view_check_list(&reader->view, &entry, &state, why);
    /* One that is stored and damaged is found where all lists are looked at. */
    if (state == STORE_LIST_MISSING)
        lost_lists_add(&reader->fsck->lost, &entry.input_list, "missing", index);
    entry_free(&entry);
    return err;
}

/* A head that somebody was shown, or may have been: the tree must have this root at this size. The tiles are right by now. */
static enum err check_head(struct fsck *fsck, const char *what, const struct head *head, struct why *why)
{
    struct hash root;
    if (head->size > fsck->view.size)
        return fail(why, ERR_REFUSED,
                    "%s is at size %llu, but there are only %llu entries: the data was rolled back. `stele-log recover %s` "
                    "takes what is missing from another copy",
                    what, (unsigned long long)head->size, (unsigned long long)fsck->view.size, fsck->config.dir);
    struct hash_reader reader = store_view_tiles(&fsck->view, head->size);
    enum err err = merkle_root(head->size, &reader, &root, why);
    if (err == OK && !hash_eq(&root, &head->root))
        err =
            fail(why, ERR_REFUSED, "%s has another root at size %llu than the entries give", what, (unsigned long long)head->size);
    return err;
}

static enum err check_published(struct fsck *fsck, const struct vkey *key, bool frozen, struct why *why)
{
    struct buf note = BUF_EMPTY;
    struct folder_head published = { 0 };
    enum err err = folder_checkpoint(&fsck->config, key, &note, &published, why);
    struct why reason = *why;
    if (err == ERR_MALFORMED || err == ERR_REFUSED)
        fail(why, err, "%s. %s", reason.text,
             frozen ? "A frozen log shows nothing without this file: take it from a backup or a mirror"
                    : "Nothing rests on this file: remove it, and the log publishes its newest head again when it is started");
    if (err == OK && published.found)
        err = check_head(fsck, "the published checkpoint", &published.head, why);
    buf_free(&note);
    return err;
}

/* A copy without the key has no `heads` either: it is a backup. */
static enum err check_heads(struct fsck *fsck, struct why *why)
{
    struct buf key_text = BUF_EMPTY;
    struct folder_head newest = { 0 };
    struct vkey key;
    bool has_key = false, has_heads = false, frozen = false;
    enum err err = folder_key(&fsck->config, &key_text, &key, why);
    if (err == OK)
        err = folder_has(&fsck->config, "frozen", &frozen, why);
    if (err == OK)
        err = check_published(fsck, &key, frozen, why);
    if (err == OK)
        err = folder_signed(&fsck->config, &newest, &has_heads, why);
    if (err == OK)
        err = folder_has(&fsck->config, "key", &has_key, why);
    if (err == OK && has_key && !has_heads && !frozen)
        err = fail(why, ERR_REFUSED, "%s/heads is missing: put back the file that belongs to this key", fsck->config.dir);
    /* A frozen log ends at its published checkpoint. */
    if (err == OK && newest.found && !frozen)
        err = check_head(fsck, "the head that was signed last", &newest.head, why);
    buf_free(&key_text);
    return err;
}

static enum err open_store(struct fsck *fsck, struct why *why)
{
    bool there = false;
    enum err err = dir_lock(fsck->config.dir, 0, why);
    if (err == OK)
        err = folder_has(&fsck->config, "data/data.mdb", &there, why);
    if (err == OK && !there)
        err = fail(why, ERR_REFUSED, "there is no data in %s", fsck->config.dir);
    if (err == OK)
        err = store_check_files(fsck->config.dir, true, why);
    if (err != OK)
        return err;
    return store_open(&fsck->store,
                      &(struct store_config){ .dir = fsck->config.dir, .origin = span_str(fsck->config.origin), .reading = true },
                      why);
}

/* Entries and tiles, in several threads, each with a view of its own. */
static enum err check_tree(struct fsck *fsck, struct why *why)
{
    const struct audit_source source = { .open = reader_open,
                                         .close = reader_close,
                                         .bundle = read_bundle,
                                         .tile = read_tile,
                                         .entry = fsck->full ? check_entry : NULL,
                                         .ctx = fsck };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    enum err err = store_view_begin(fsck->store, &fsck->view, why);
    if (err != OK)
        return err;
    fsck->audit.source = &source;
    fsck->audit.threads = (cores < 1 ? 1 : (unsigned)cores) * CHECK_THREADS_A_CORE;
    fsck->audit.size = fsck->view.size;
    err = fsck->full ? store_view_indexed(&fsck->view, &fsck->indexed, why) : OK;
    store_view_end(&fsck->view); /* nobody writes: the next one is the same */
    return err == OK ? audit_run(&fsck->audit, why) : err;
}

static enum err check_rest(struct fsck *fsck, struct why *why)
{
    enum err err = store_view_begin(fsck->store, &fsck->view, why);
    if (err != OK)
        return err;
    err = store_view_check_counts(&fsck->view, fsck->runs, why);
    if (err == OK)
        err = check_heads(fsck, why);
    if (err == OK)
        err = store_view_check_lists(&fsck->view, damaged_list, fsck, why);
    if (err == OK && fsck->full)
        err = store_view_check_index(&fsck->view, fsck->keys, why);
    store_view_end(&fsck->view);
    return err;
}

static void print_result(const struct fsck *fsck, uint64_t took_us)
{
    struct hash root = frontier_root(&fsck->audit.frontier);
    struct buf text = BUF_EMPTY;
    base64_encode(&text, span_of(root.b, sizeof root.b));
    printf("%s: %llu entries, root %.*s: %s; %.0f entries a second\n", fsck->config.origin,
           (unsigned long long)fsck->audit.frontier.size, SPAN_FMT(span_buf(&text)),
           fsck->full ? "entries, tree, signatures and indices are right" : "entries and tree are right",
           (double)fsck->audit.frontier.size * 1e6 / (double)(took_us > 0 ? took_us : 1));
    buf_free(&text);
}

static enum err check(struct fsck *fsck, struct why *why)
{
    uint64_t started_us = clock_monotonic_us();
    enum err err = check_tree(fsck, why);
    if (err == OK)
        err = check_rest(fsck, why);
    lost_lists_print(&fsck->lost);
    if (err != OK)
        return ERR_REFUSED; /* whatever it was that could not be read or did not fit: this log is not as it should be */
    print_result(fsck, clock_monotonic_us() - started_us);
    return fsck->lost.n == 0
               ? OK
               : fail(
                     why, ERR_REFUSED,
                     "%llu input lists are missing or damaged: `stele-log recover %s --from URL --lists` looks for them in another "
                     "copy, and anybody may post them again with their attestation",
                     (unsigned long long)fsck->lost.n, fsck->config.dir);
}

static enum err fsck_local(struct fsck *fsck, const char *dir, struct why *why)
{
    enum err err = log_config_load(&fsck->config, dir, why);
    if (err == OK)
        err = open_store(fsck, why);
    if (err == OK)
        err = check(fsck, why);
    store_close(fsck->store);
    log_config_free(&fsck->config);
    return err;
}

static enum err dispatch(struct fsck *fsck, const struct fsck_remote *remote, const struct cli_args *args, struct why *why)
{
    if (remote->url != NULL && args->n > 0)
        return fail(why, ERR_USAGE, "either a log's folder or --from");
    if (remote->url != NULL)
        return fsck_remote(remote, why);
    if (args->n == 0)
        return fail(why, ERR_USAGE, "which log? Its folder, or --from URL");
    if (remote->policy_file != NULL || remote->vkey != NULL || remote->state_file != NULL || remote->patience_s != NULL)
        return fail(why, ERR_USAGE, "--policy, --key, --state and --patience go with --from");
    return fsck_local(fsck, args->items[0], why);
}

enum err cmd_fsck(int argc, char **argv, struct why *why)
{
    struct fsck *fsck = calloc(1, sizeof *fsck);
    if (fsck == NULL)
        return fail(why, ERR_ENV, "out of memory");
    pthread_mutex_init(&fsck->lock, NULL);
    fsck->lost = LOST_LISTS_NONE;
    frontier_start(&fsck->audit.frontier);
    struct fsck_remote remote = { 0 };
    const struct cli_option options[] = {
        { "--full", NULL, "every signature, index and input list as well", NULL, &fsck->full },
        { "--from", "URL", "a remote log, read through its tiles, instead of a folder", &remote.url, NULL },
        { "--policy", "FILE", "its key and the quorum of its witnesses (tlog-policy)", &remote.policy_file, NULL },
        { "--key", "VKEY", "its key alone, instead of a policy", &remote.vkey, NULL },
        { "--state", "FILE", "what was verified so far: goes on from there, and notes how far it came", &remote.state_file, NULL },
        { "--patience", "SECONDS", "how long one request may take (30)", &remote.patience_s, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 1, argc, argv, &args, why);
    if (err == OK)
        err = key_system_start(why);
    remote.full = fsck->full;
    if (err == OK)
        err = dispatch(fsck, &remote, &args, why);
    pthread_mutex_destroy(&fsck->lock);
    free(fsck);
    free(args.items);
    return err;
}
