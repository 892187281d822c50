/*
 * `stele-log recover`: the way out for a log whose data is behind what was signed, because an old copy was put back, a disk lost
 * what it had said was written, or `heads` went with it.
 *
 * Every head that is known to be signed by the log must be a head of the tree that comes out: those of DIR/heads and
 * DIR/checkpoint, and those of the copy and the proof bundles that entries are taken from. Nothing is stored before it is proven.
 * And `heads` knows the newest of them, so that a signer whose memory was lost, or put back, signs nothing that contradicts it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"
#include "log/commands.h"
#include "log/entry.h"
#include "log/limits.h"
#include "log/recover.h"

struct options {
    const char *url, *patience_s;
    bool lists, nothing_newer;
};

enum err recovery_know(struct recovery *recovery, const struct head *head, const char *whose, struct why *why)
{
    size_t at = 0;
    while (at < recovery->heads_n && recovery->heads[at].head.size < head->size)
        at++;
    if (at < recovery->heads_n && recovery->heads[at].head.size == head->size)
        return hash_eq(&recovery->heads[at].head.root, &head->root)
                   ? OK
                   : fail(why, ERR_REFUSED, "%s and %s are of %llu entries and have two roots: the log's key signed two trees",
                          recovery->heads[at].whose, whose, (unsigned long long)head->size);
    struct known_head *heads = array_more(recovery->heads, recovery->heads_n, sizeof *heads);
    if (heads == NULL)
        return fail(why, ERR_ENV, "out of memory");
    recovery->heads = heads;
    memmove(recovery->heads + at + 1, recovery->heads + at, (recovery->heads_n - at) * sizeof recovery->heads[0]);
    recovery->heads[at] = (struct known_head){ *head, whose };
    recovery->heads_n++;
    return OK;
}

enum err recovery_try(const struct recovery *recovery, const struct span *entries, size_t n, struct frontier *after,
                      struct why *why)
{
    *after = recovery->frontier;
    size_t next = 0;
    while (next < recovery->heads_n && recovery->heads[next].head.size <= after->size)
        next++;
    for (size_t i = 0; i < n; i++) {
        struct hash leaf = merkle_leaf_hash(entries[i]);
        frontier_append(after, &leaf);
        if (next == recovery->heads_n || recovery->heads[next].head.size != after->size)
            continue;
        const struct known_head *known = &recovery->heads[next++];
        struct hash root = frontier_root(after);
        if (!hash_eq(&root, &known->head.root))
            return fail(why, ERR_REFUSED, "with these entries the tree has another root at size %llu than %s",
                        (unsigned long long)known->head.size, known->whose);
    }
    return OK;
}

/* Appends an input list that was handed in, or that the other copy has, to `text`. */
static enum err find_list(struct recovery *recovery, const struct hash *list, struct buf *text, bool *found, struct why *why)
{
    struct span there;
    *found = false;
    for (size_t i = 0; i < recovery->lists_n && !*found; i++)
        if (hash_eq(&recovery->lists[i].hash, list)) {
            buf_span(text, span_buf(&recovery->lists[i].text));
            *found = true;
        }
    enum err err = OK;
    if (!*found && recovery->remote != NULL && (err = remote_inputs(recovery->remote, list, &there, found, why)) == OK && *found)
        buf_span(text, there);
    return err == OK ? buf_done(text, why) : err;
}

/* The list of an entry that comes next, or whose list is not as it should be. */
static enum err find_list_of(struct recovery *recovery, const struct store_entry *entry, uint64_t index, struct buf *text,
                             struct store_list *list, bool *found, struct why *why)
{
    struct store_view view;
    enum store_list_state state;
    *found = false;
    if (!entry->has_input_list)
        return OK;
    enum err err = store_view_begin(recovery->store, &view, why);
    if (err != OK)
        return err;
    err = store_view_check_list(&view, entry, &state, why);
    store_view_end(&view);
    if (err != OK || state == STORE_LIST_RIGHT)
        return err;
    err = find_list(recovery, &entry->input_list, text, found, why);
    if (err == OK && !*found)
        lost_lists_add(&recovery->lost, &entry->input_list, state == STORE_LIST_MISSING ? "missing" : "damaged", index);
    *list = (struct store_list){ entry->input_list, span_buf(text) };
    return err;
}

/* Stores entries that were described; one that brings a list ends a commit, so that few are held at once. */
struct appending {
    struct recovery *recovery;
    struct store_entry *entries;
    size_t n;
};

static enum err commit(struct appending *appending, const struct store_list *list, struct why *why)
{
    struct store_part part = {
        .entries = appending->entries, .n = appending->n, .lists = list, .lists_n = list != NULL, .lists_may_lack = true
    };
    uint64_t size = 0;
    enum err err = appending->n == 0 ? OK : store_append(appending->recovery->store, &part, 1, &size, why);
    for (size_t i = 0; i < appending->n; i++)
        entry_free(&appending->entries[i]);
    appending->n = 0;
    return err;
}

static enum err append_one(struct appending *appending, struct span bytes, uint64_t index, struct why *why)
{
    struct store_entry *entry = &appending->entries[appending->n];
    struct buf text = BUF_EMPTY;
    struct store_list list;
    bool found = false;
    enum err err = entry_read(entry, bytes, why);
    if (err != OK)
        return fail_in(why, err, "entry %llu", (unsigned long long)index);
    appending->n++;
    entry->index = index;
    err = find_list_of(appending->recovery, entry, index, &text, &list, &found, why);
    if (err == OK && found)
        err = commit(appending, &list, why);
    buf_free(&text);
    return err;
}

enum err recovery_append(struct recovery *recovery, const struct span *entries, size_t n, const struct frontier *after,
                         struct why *why)
{
    struct appending appending = { .recovery = recovery, .entries = calloc(n + 1, sizeof *appending.entries) };
    if (appending.entries == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++)
        err = append_one(&appending, entries[i], recovery->frontier.size + i, why);
    if (err == OK)
        err = commit(&appending, NULL, why);
    for (size_t i = 0; i < appending.n; i++)
        entry_free(&appending.entries[i]);
    free(appending.entries);
    if (err == OK && store_size(recovery->store) != after->size)
        err = fail(why, ERR_REFUSED, "an entry of the copy is in the log twice");
    if (err == OK)
        recovery->frontier = *after;
    return err;
}

/* What is stored, and every signed head that it reaches. */
static enum err check_own(struct recovery *recovery, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(recovery->store, &view, why);
    if (err != OK)
        return err;
    struct hash_reader all = store_view_tiles(&view, view.size);
    err = frontier_load(&recovery->frontier, view.size, &all, why);
    for (size_t i = 0; i < recovery->heads_n && err == OK && recovery->heads[i].head.size <= view.size; i++) {
        const struct known_head *known = &recovery->heads[i];
        struct hash_reader reader = store_view_tiles(&view, known->head.size);
        struct hash root;
        err = merkle_root(known->head.size, &reader, &root, why);
        if (err == OK && !hash_eq(&root, &known->head.root))
            err =
                fail(why, ERR_REFUSED,
                     "%s/data has another root at size %llu than %s: it was changed. Move it away, and take everything from a copy",
                     recovery->config.dir, (unsigned long long)known->head.size, known->whose);
    }
    store_view_end(&view);
    return err;
}

/* Looks through all entries for lists that are missing or damaged, and puts in what can be had. */
static enum err mend_lists(struct recovery *recovery, struct why *why)
{
    struct appending appending = { .recovery = recovery, .entries = calloc(2, sizeof *appending.entries) };
    struct buf bytes = BUF_EMPTY;
    enum err err = appending.entries == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    for (uint64_t index = 0; index < recovery->frontier.size && err == OK; index++) {
        struct store_view view;
        struct span entry;
        if (index % 1024 == 0)
            cli_progress("looking for input lists", (size_t)index, (size_t)recovery->frontier.size);
        if ((err = store_view_begin(recovery->store, &view, why)) != OK)
            break;
        buf_clear(&bytes);
        err = store_view_entry(&view, index, &entry, why);
        if (err == OK)
            buf_span(&bytes, entry);
        store_view_end(&view);
        if (err == OK && (err = buf_done(&bytes, why)) == OK)
            err = append_one(&appending, span_buf(&bytes), index, why);
        while (appending.n > 0) /* nothing to mend */
            entry_free(&appending.entries[--appending.n]);
    }
    cli_progress_end();
    free(appending.entries);
    buf_free(&bytes);
    return err;
}

/* DIR/heads must know the newest head that is known to be signed. */
static enum err raise_heads(struct recovery *recovery, const struct folder_head *newest, bool there, struct why *why)
{
    const struct known_head *last = recovery->heads_n == 0 ? NULL : &recovery->heads[recovery->heads_n - 1];
    if (newest->found && (last == NULL || last->head.size <= newest->head.size))
        return OK;
    if (last == NULL)
        return fail(
            why, ERR_REFUSED,
            "nothing says what this log signed last. Name a copy of it or a witness with --from; where the data is all that "
            "there ever was, --nothing-newer says so");
    struct heads *heads = NULL;
    char *path = path_join(recovery->config.dir, "heads");
    uint64_t now_s = clock_posix_s();
    struct head_record record = { .origin_hash = sha256_of(span_str(recovery->config.origin)),
                                  .head = last->head,
                                  .time_s = newest->time_s > now_s ? newest->time_s : now_s };
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : there ? OK : heads_create(path, why);
    if (err == OK)
        err = heads_open(&heads, path, why);
    if (err == OK)
        err = heads_add(heads, &record, 1, why);
    heads_close(heads);
    free(path);
    if (err == OK)
        fprintf(stderr, "%s/heads now knows a head of %llu entries, by %s\n", recovery->config.dir,
                (unsigned long long)last->head.size, last->whose);
    return err;
}

/* The copy's checkpoint is the published one where the data reaches it and nothing newer was signed. */
static enum err keep_checkpoint(struct recovery *recovery, struct why *why)
{
    const struct head *newest = &recovery->heads[recovery->heads_n - 1].head;
    if (recovery->note.len == 0 || recovery->note_head.size != newest->size || recovery->frontier.size < newest->size)
        return OK;
    char *path = path_join(recovery->config.dir, "checkpoint");
    enum err err =
        path == NULL ? fail(why, ERR_ENV, "out of memory") : file_replace_soft(path, 0644, span_buf(&recovery->note), why);
    free(path);
    return err;
}

static enum err conclude(struct recovery *recovery, uint64_t had, struct why *why)
{
    const struct known_head *last = &recovery->heads[recovery->heads_n - 1];
    uint64_t size = recovery->frontier.size;
    lost_lists_print(&recovery->lost);
    printf("%s: %llu entries, %llu of them recovered\n", recovery->config.dir, (unsigned long long)size,
           (unsigned long long)(size - had));
    if (size < last->head.size)
        return fail(why, ERR_REFUSED,
                    "the entries %llu to %llu are still missing, which %s covers: give another copy with --from, or their proof "
                    "bundles. A log that lost what nobody else has can only be frozen",
                    (unsigned long long)size, (unsigned long long)last->head.size - 1, last->whose);
    if (recovery->lost.n > 0)
        return fail(why, ERR_REFUSED,
                    "all entries are here; %llu input lists are not: anybody may post them again with their attestation, and "
                    "nothing else waits for them",
                    (unsigned long long)recovery->lost.n);
    return OK;
}

static enum err know_own_heads(struct recovery *recovery, const struct options *options, struct folder_head *newest, bool *there,
                               struct why *why)
{
    struct buf note = BUF_EMPTY;
    struct folder_head published;
    bool frozen = false;
    enum err err = folder_signed(&recovery->config, newest, there, why);
    if (err == OK)
        err = folder_has(&recovery->config, "frozen", &frozen, why);
    if (err == OK && newest->found && !frozen)
        err = recovery_know(recovery, &newest->head, "the signer's last head", why);
    struct why reason;
    enum err opened = err != OK ? err : folder_checkpoint(&recovery->config, &recovery->key, &note, &published, &reason);
    if (err == OK && opened != OK) {
        /* It serves a restart alone, but for a log that has nothing else to go by. */
        published.found = false;
        if (frozen || options->nothing_newer)
            err = fail(why, opened, "%s", reason.text);
        else
            fprintf(stderr, "passed over: %s\n", reason.text);
    }
    if (err == OK && frozen)
        *newest = published; /* it ends there */
    /* An old checkpoint alone does not say that nothing came after it. */
    if (err == OK && published.found && (newest->found || options->url != NULL || options->nothing_newer))
        err = recovery_know(recovery, &published.head, "the published checkpoint", why);
    if (err == OK && options->nothing_newer && *there)
        err = fail(why, ERR_USAGE, "--nothing-newer is for a log without heads: %s/heads is there", recovery->config.dir);
    buf_free(&note);
    return err;
}

static enum err recover(struct recovery *recovery, const struct options *options, const char *const *files, size_t files_n,
                        struct why *why)
{
    struct recovered_files read = { 0 };
    struct folder_head newest;
    unsigned patience_ms;
    bool there;
    enum err err = remote_patience(options->patience_s, &patience_ms, why);
    if (err == OK)
        err = know_own_heads(recovery, options, &newest, &there, why);
    if (err == OK)
        err = check_own(recovery, why);
    uint64_t had = recovery->frontier.size;
    if (err == OK)
        err = recover_read_files(recovery, &read, files, files_n, why);
    if (err == OK && options->url != NULL)
        err = recover_open_remote(recovery, options->url, patience_ms, why);
    if (err == OK)
        err = check_own(recovery, why); /* now of all heads */
    if (err == OK)
        err = raise_heads(recovery, &newest, there, why);
    if (err == OK && recovery->remote != NULL)
        err = recover_from_remote(recovery, why);
    if (err == OK)
        err = recover_from_files(recovery, &read, why);
    if (err == OK && options->lists)
        err = mend_lists(recovery, why);
    if (err == OK)
        err = keep_checkpoint(recovery, why);
    recovered_files_free(&read);
    return err == OK ? conclude(recovery, had, why) : err;
}

static enum err open_log(struct recovery *recovery, const char *dir, struct why *why)
{
    enum err err = log_config_load(&recovery->config, dir, why);
    if (err == OK)
        err = dir_lock(dir, LOCK_PATIENCE_MS, why);
    if (err == OK)
        err = folder_key(&recovery->config, &recovery->key_text, &recovery->key, why);
    if (err != OK)
        return err;
    return store_open(&recovery->store,
                      &(struct store_config){ .dir = recovery->config.dir,
                                              .origin = span_str(recovery->config.origin),
                                              .describe = entry_read,
                                              .undescribe = entry_free },
                      why);
}

static void close_log(struct recovery *recovery)
{
    remote_close(recovery->remote);
    store_close(recovery->store);
    log_config_free(&recovery->config);
    for (size_t i = 0; i < recovery->lists_n; i++)
        buf_free(&recovery->lists[i].text);
    free(recovery->lists);
    free(recovery->heads);
    buf_free(&recovery->note);
    buf_free(&recovery->key_text);
    free(recovery);
}

enum err cmd_recover(int argc, char **argv, struct why *why)
{
    struct options options = { 0 };
    const struct cli_option cli[] = {
        { "--from", "URL", "a copy of this log that serves tiles: a mirror, another log; or a witness, for its head", &options.url,
          NULL },
        { "--lists", NULL, "look through all entries for input lists that are missing or damaged", NULL, &options.lists },
        { "--nothing-newer", NULL, "heads is lost, and nothing was signed after DIR/checkpoint: you answer for it", NULL,
          &options.nothing_newer },
        { "--patience", "SECONDS", "how long one request may take (30)", &options.patience_s, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(cli, 1, RECOVER_FILES_MAX, argc, argv, &args, why);
    if (err != OK)
        return err;
    struct recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery == NULL) {
        free(args.items);
        return fail(why, ERR_ENV, "out of memory");
    }
    recovery->lost = LOST_LISTS_NONE;
    err = key_system_start(why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = open_log(recovery, args.items[0], why);
    if (err == OK)
        err = recover(recovery, &options, args.items + 1, args.n - 1, why);
    close_log(recovery);
    free(args.items);
    return err;
}
