/*
 * `stele-log freeze`: the end of a log. It goes on showing its published checkpoint, with every entry, and has its witnesses
 * cosign it again; it takes nothing, signs nothing and starts no signer, so that its key can be destroyed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "log/commands.h"
#include "log/folder.h"
#include "log/limits.h"
#include "log/signed_head.h"
#include "log/store.h"

/* What is published must be under the quorum: a witness that is gone later would otherwise leave a log that shows nothing. */
static enum err check_quorum(const struct log_config *config, const struct vkey *key, struct span note, struct why *why)
{
    struct policy policy;
    struct signed_head *head = NULL;
    bool satisfied = false;
    enum err err = log_policy_load(config, &policy, why);
    if (err != OK)
        return err;
    err = signed_head_parse(&head, note, key, &policy, 0, why);
    if (err == OK)
        err = signed_head_satisfies(head, &policy, &satisfied, why);
    if (err == OK && !satisfied)
        err = fail(why, ERR_REFUSED, "%s/checkpoint is not under the quorum of %s: start the log, and let it publish", config->dir,
                   config->policy_file);
    signed_head_release(head);
    policy_free(&policy);
    return err;
}

static enum err read_data(const struct log_config *config, const struct head *published, uint64_t *size, struct why *why)
{
    struct store *store;
    struct store_view view;
    struct hash root;
    enum err err = store_check_files(config->dir, false, why);
    if (err == OK)
        err = store_open(&store, &(struct store_config){ .dir = config->dir, .origin = span_str(config->origin), .reading = true },
                         why);
    if (err != OK)
        return err;
    if ((err = store_view_begin(store, &view, why)) == OK) {
        struct hash_reader reader = store_view_tiles(&view, published->size);
        *size = view.size;
        if (view.size < published->size)
            err = fail(why, ERR_REFUSED, "the data has %llu entries, the published checkpoint %llu: `stele-log recover %s` first",
                       (unsigned long long)view.size, (unsigned long long)published->size, config->dir);
        else if ((err = merkle_root(published->size, &reader, &root, why)) == OK && !hash_eq(&root, &published->root))
            err =
                fail(why, ERR_REFUSED, "the data has another root at size %llu than the published checkpoint: see `stele-log fsck`",
                     (unsigned long long)published->size);
        store_view_end(&view);
    }
    store_close(store);
    return err;
}

/* Was everything published that was taken, or signed? */
static enum err check_end(const struct log_config *config, uint64_t published, uint64_t stored, struct why *why)
{
    struct folder_head newest;
    bool there;
    enum err err = folder_signed(config, &newest, &there, why);
    uint64_t last = newest.found && newest.head.size > stored ? newest.head.size : stored;
    if (err == OK && last > published)
        err =
            fail(why, ERR_REFUSED,
                 "%llu entries are published, %llu were taken. Start the log and let it publish the rest; where that is not to be, "
                 "--as-published leaves them out for ever",
                 (unsigned long long)published, (unsigned long long)last);
    return err;
}

/* Sets the size of the published checkpoint, whose note is appended. */
static enum err check(const struct log_config *config, bool as_published, struct buf *note, uint64_t *size, struct why *why)
{
    struct buf key_text = BUF_EMPTY;
    struct folder_head published = { 0 };
    struct vkey key;
    uint64_t stored = 0;
    enum err err = folder_key(config, &key_text, &key, why);
    if (err == OK)
        err = folder_checkpoint(config, &key, note, &published, why);
    if (err == OK && !published.found)
        err = fail(why, ERR_REFUSED, "there is no %s/checkpoint: nothing was published", config->dir);
    if (err == OK)
        err = check_quorum(config, &key, span_buf(note), why);
    if (err == OK)
        err = read_data(config, &published.head, &stored, why);
    if (err == OK && !as_published)
        err = check_end(config, published.head.size, stored, why);
    *size = published.head.size;
    buf_free(&key_text);
    return err;
}

static enum err put(const struct log_config *config, const char *name, struct span content, struct why *why)
{
    char *path = path_join(config->dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_replace(path, 0644, content, why);
    free(path);
    return err;
}

/* A log that runs keeps its checkpoint without a sync: here it is put in place again, to last. */
static enum err write_files(const struct log_config *config, struct span checkpoint, const char *note, struct why *why)
{
    struct buf text = BUF_EMPTY;
    buf_str(&text, note != NULL ? note : "this log is frozen: it takes no attestations any more");
    buf_byte(&text, '\n');
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = put(config, "checkpoint", checkpoint, why);
    if (err == OK)
        err = put(config, "frozen", span_buf(&text), why);
    buf_free(&text);
    return err;
}

static enum err freeze(const struct log_config *config, const char *note, bool as_published, struct why *why)
{
    bool already;
    uint64_t size;
    struct buf checkpoint = BUF_EMPTY;
    enum err err = dir_lock(config->dir, LOCK_PATIENCE_MS, why);
    if (err == OK)
        err = folder_has(config, "frozen", &already, why);
    if (err != OK)
        return err;
    if (already && note == NULL) {
        printf("%s is frozen\n", config->dir);
        return OK;
    }
    err = check(config, as_published || already, &checkpoint, &size, why);
    if (err == OK)
        err = write_files(config, span_buf(&checkpoint), note, why);
    buf_free(&checkpoint);
    if (err == OK)
        printf("%s is frozen at %llu entries: `stele-log serve` shows them, and needs %s/key no more\n", config->dir,
               (unsigned long long)size, config->dir);
    return err;
}

enum err cmd_freeze(int argc, char **argv, struct why *why)
{
    const char *note = NULL;
    bool as_published = false;
    const struct cli_option options[] = {
        { "--note", "TEXT", "what submitters are told: where they find the log that follows", &note, NULL },
        { "--as-published", NULL, "leave out for ever what was taken and not published", NULL, &as_published },
        { 0 },
    };
    struct cli_args args;
    struct log_config config;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (note != NULL && (strlen(note) >= FROZEN_BYTES_MAX || !span_utf8(span_str(note)) || strpbrk(note, "\r\n\t") != NULL))
        err = fail(why, ERR_USAGE, "--note is one line of less than %d bytes of UTF-8", FROZEN_BYTES_MAX);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK && (err = log_config_load(&config, args.items[0], why)) == OK) {
        err = freeze(&config, note, as_published, why);
        log_config_free(&config);
    }
    free(args.items);
    return err;
}
