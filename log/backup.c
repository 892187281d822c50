/*
 * `stele-log backup`: a copy of a log's folder, also while the log runs.
 *
 * Consistent by construction: the published checkpoint is copied first, then one snapshot of the data, which therefore holds all
 * that was published; `config`, without which no command takes a folder for a log's, comes last.
 *
 * Two files stay out on purpose. `key`: it never changes, so one copy in a safe place is enough, and no backup is a place from
 * which it can be stolen. `heads`: it is what the signer remembers in order never to sign two histories, and a memory that is put
 * back with old data remembers too little. A restored backup takes both from the log, or lets `stele-log recover` find
 * the newest head before anything is signed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "log/commands.h"
#include "log/folder.h"
#include "log/limits.h"
#include "log/store.h"

static enum err copy_file(const char *from, const char *out, const char *name, size_t bytes_max, struct why *why)
{
    char *to = path_join(out, name);
    enum err err = to == NULL ? fail(why, ERR_ENV, "out of memory") : file_copy_if(from, to, 0644, bytes_max, why);
    free(to);
    return err;
}

/* A file that the configuration names. One that lies elsewhere is shared with others: it is not the log's to copy. */
static enum err copy_named(const struct log_config *config, const char *path, const char *out, size_t bytes_max, struct why *why)
{
    size_t dir_len = strlen(config->dir);
    if (strncmp(path, config->dir, dir_len) == 0 && path[dir_len] == '/' && strchr(path + dir_len + 1, '/') == NULL)
        return copy_file(path, out, path + dir_len + 1, bytes_max, why);
    fprintf(stderr, "%s lies outside the log's folder, and is not in the backup\n", path);
    return OK;
}

static enum err copy_own(const struct log_config *config, const char *out, const char *name, size_t bytes_max, struct why *why)
{
    char *path = path_join(config->dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : copy_file(path, out, name, bytes_max, why);
    free(path);
    return err;
}

static enum err copy_data(const struct log_config *config, const char *out, struct why *why)
{
    struct store *store;
    enum err err =
        store_open(&store, &(struct store_config){ .dir = config->dir, .origin = span_str(config->origin), .reading = true }, why);
    if (err != OK)
        return err;
    err = store_copy(store, out, why);
    store_close(store);
    return err;
}

/* Opens the copy, and holds it against the checkpoint that was copied with it. */
static enum err check_copy(const struct log_config *config, const char *out, uint64_t *size, struct why *why)
{
    struct log_config copy = { .dir = span_dup_str(span_str(out)), .origin = config->origin };
    struct buf key_text = BUF_EMPTY, note = BUF_EMPTY;
    struct folder_head published;
    struct store *store = NULL;
    struct store_view view;
    struct vkey key;
    enum err err = copy.dir == NULL ? fail(why, ERR_ENV, "out of memory") : folder_key(&copy, &key_text, &key, why);
    if (err == OK)
        err = folder_checkpoint(&copy, &key, &note, &published, why);
    if (err == OK)
        err = store_open(&store, &(struct store_config){ .dir = out, .origin = span_str(config->origin), .reading = true }, why);
    if (err == OK && (err = store_view_begin(store, &view, why)) == OK) {
        struct hash root;
        *size = view.size;
        struct hash_reader reader = store_view_tiles(&view, published.head.size);
        if (published.found && published.head.size > view.size)
            err = fail(why, ERR_REFUSED, "the copy has %llu entries, the published checkpoint %llu", (unsigned long long)view.size,
                       (unsigned long long)published.head.size);
        else if (published.found && (err = merkle_root(published.head.size, &reader, &root, why)) == OK &&
                 !hash_eq(&root, &published.head.root))
            err =
                fail(why, ERR_REFUSED, "the copy has another root than the published checkpoint at size %llu: run fsck on the log",
                     (unsigned long long)published.head.size);
        store_view_end(&view);
    }
    store_close(store);
    buf_free(&key_text);
    buf_free(&note);
    free(copy.dir);
    return err == OK ? OK : fail_in(why, err, "%s", out);
}

static enum err backup(const struct log_config *config, const char *out, struct why *why)
{
    uint64_t size = 0;
    enum err err = dir_make_empty(out, 0700, "backup", why);
    if (err == OK)
        err = copy_own(config, out, "key.pub", NOTE_SIGNATURE_BYTES_MAX, why);
    if (err == OK)
        err = copy_own(config, out, "checkpoint", NOTE_BYTES_MAX, why);
    if (err == OK)
        err = copy_own(config, out, "frozen", FROZEN_BYTES_MAX, why);
    if (err == OK)
        err = copy_data(config, out, why);
    if (err == OK)
        err = copy_named(config, config->policy_file, out, POLICY_BYTES_MAX, why);
    if (err == OK && !config->builders_open)
        err = copy_named(config, config->builders_file, out, BUILDERS_BYTES_MAX, why);
    if (err == OK)
        err = check_copy(config, out, &size, why);
    if (err == OK)
        err = copy_own(config, out, "config", CONFIG_BYTES_MAX, why);
    if (err == OK)
        printf("%s: %llu entries of %s; the log's `key` and `heads` are not in it\n", out, (unsigned long long)size,
               config->origin);
    return err;
}

enum err cmd_backup(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    struct log_config config;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    err = key_system_start(why);
    if (err == OK && (err = log_config_load(&config, args.items[0], why)) == OK) {
        err = backup(&config, args.items[1], why);
        log_config_free(&config);
    }
    free(args.items);
    return err;
}
