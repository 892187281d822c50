/*
 * `stele-witness backup` and `restore`.
 *
 * A backup has everything but the key, which never changes: one copy in a safe place is enough, and no backup gives it away. What
 * it has of `heads` is only what was cosigned until then. So `restore` puts a mark behind it, which suspends every log, those
 * that the backup does not know included, until `resume` says where it stands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/headsfile.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/heads.h"
#include "lib/sys/key.h"
#include "lib/sys/service.h"
#include "witness/commands.h"
#include "witness/limits.h"

/* The files of a backup, and the folders, all of whose files are copied. Apart: `key.pub`, which `restore` makes of the key, and
 * `heads`. */
static const char *const files[] = { "config", "logs" };
static const char *const folders[] = { "checkpoints", "evidence", "suspects" };

struct copying {
    const char *from, *to;
};

/* Not durable before copy_all ends. */
static enum err copy_file(void *ctx, const char *name, struct why *why)
{
    const struct copying *copying = ctx;
    struct buf content = BUF_EMPTY;
    bool found = false, exists = false;
    char *from = path_join(copying->from, name), *to = path_join(copying->to, name);
    enum err err = from == NULL || to == NULL ? fail(why, ERR_ENV, "out of memory")
                                              : file_read_if(from, LOGS_BYTES_MAX, &content, &found, why);
    if (err == OK && found)
        err = file_create_soft(to, 0644, span_buf(&content), &exists, why);
    if (err == OK && exists)
        err = fail(why, ERR_ENV, "%s exists already, and is not overwritten", to);
    buf_free(&content);
    free(from);
    free(to);
    return err;
}

static enum err copy_folder(const char *from, const char *to, const char *name, struct why *why)
{
    char *from_folder = path_join(from, name), *to_folder = path_join(to, name);
    struct copying copying = { from_folder, to_folder };
    enum err err = from_folder == NULL || to_folder == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(to_folder, 0755, why);
    if (err == OK && access(from_folder, F_OK) == 0)
        err = dir_each(from_folder, copy_file, &copying, why);
    free(from_folder);
    free(to_folder);
    return err;
}

/* All but heads and the key, into a folder for `what`, which must be empty or missing; key.pub where it is wanted. Thousands of
 * notes at the price of one sync, before which nothing is there that would make a backup or a witness of the folder. */
static enum err copy_all(const char *from, const char *to, const char *what, bool key_pub, struct why *why)
{
    struct copying copying = { from, to };
    int fd = -1;
    enum err err = dir_make_empty(to, 0700, what, why);
    if (err == OK)
        err = dir_open(to, &fd, why);
    for (size_t i = 0; i < sizeof files / sizeof *files && err == OK; i++)
        err = copy_file(&copying, files[i], why);
    if (err == OK && key_pub)
        err = copy_file(&copying, "key.pub", why);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && err == OK; i++)
        err = copy_folder(from, to, folders[i], why);
    if (err == OK)
        err = file_system_sync(fd, to, why);
    if (fd >= 0)
        close(fd);
    return err;
}

static enum err count_record(void *ctx, const struct headsfile_record *record, struct why *why)
{
    (void)record, (void)why;
    ++*(size_t *)ctx;
    return OK;
}

/* What of the heads file is whole, also while a witness adds to it. Last, and by rename: a backup that was broken off has none of
 * it, and is not restored. */
static enum err copy_heads(const char *from_dir, const char *to_dir, struct why *why)
{
    struct buf content = BUF_EMPTY;
    size_t records = 0, valid_len = 0;
    char *from = path_join(from_dir, "heads"), *to = path_join(to_dir, "heads");
    enum err err = from == NULL || to == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(from, SIZE_MAX, &content, why);
    if (err == OK)
        err = headsfile_parse(span_buf(&content), count_record, &records, &valid_len, why);
    if (err == OK)
        err = file_replace(to, 0600, span_of(content.data, valid_len), why);
    buf_free(&content);
    free(from);
    free(to);
    return err;
}

enum err cmd_backup(int argc, char **argv, struct why *why)
{
    const struct cli_option options[] = { { 0 } };
    struct cli_args args;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    const char *from = args.items[0], *to = args.items[1];
    err = copy_all(from, to, "backup", true, why);
    if (err == OK)
        err = copy_heads(from, to, why);
    if (err == OK)
        fprintf(stderr,
                "The key is not in it: keep a copy of %s/key in a safe place.\n"
                "`stele-witness restore %s DIR --key FILE` makes a witness of it, with every log suspended.\n",
                from, to);
    free(args.items);
    return err;
}

/* The key must be the one whose witness the backup is of. */
static enum err load_key(struct secret_key **key, const char *backup, const char *path, struct why *why)
{
    struct buf wanted = BUF_EMPTY, found = BUF_EMPTY;
    enum err err = key_system_start(why);
    if (err == OK)
        err = service_vkey(backup, SIG_COSIGNATURE, &wanted, why);
    if (err == OK)
        err = secret_key_load(key, path, SIG_COSIGNATURE, why);
    if (err == OK) {
        struct vkey vkey = secret_key_vkey(*key);
        vkey_render(&found, &vkey);
        err = buf_done(&found, why);
    }
    if (err == OK && !span_eq(span_buf(&wanted), span_buf(&found)))
        err = fail(why, ERR_REFUSED, "%s is the key %.*s, the backup is of %.*s", path, SPAN_FMT(found), SPAN_FMT(wanted));
    buf_free(&wanted);
    buf_free(&found);
    return err;
}

static enum err mark_heads(const char *dir, struct why *why)
{
    struct heads *heads = NULL;
    enum err err = heads_take(&heads, dir, why);
    if (err == OK)
        err = heads_suspend(heads, why);
    heads_close(heads);
    return err;
}

/* The key comes last: before it the folder is no witness. */
static enum err save_key(const char *dir, const struct secret_key *key, struct why *why)
{
    char *path = path_join(dir, "key");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : secret_key_save(key, path, why);
    free(path);
    return err;
}

enum err cmd_restore(int argc, char **argv, struct why *why)
{
    const char *key_path = NULL;
    const struct cli_option options[] = {
        { "--key", "FILE", "the witness's secret key, which no backup holds", &key_path, NULL },
        { 0 },
    };
    struct cli_args args;
    struct secret_key *key = NULL;
    enum err err = cli_parse(options, 2, 2, argc, argv, &args, why);
    if (err != OK)
        return err;
    const char *from = args.items[0], *to = args.items[1];
    err = key_path == NULL ? fail(why, ERR_USAGE, "--key is missing") : load_key(&key, from, key_path, why);
    if (err == OK)
        err = copy_all(from, to, "witness", false, why);
    if (err == OK)
        err = copy_heads(from, to, why);
    if (err == OK)
        err = mark_heads(to, why);
    if (err == OK)
        err = save_key(to, key, why);
    if (err == OK)
        fprintf(stderr,
                "Every log is suspended: what this witness cosigned after the backup is not in it.\n"
                "`stele-witness resume %s ORIGIN LOG/checkpoint` takes one up again at the newest head there under its own "
                "cosignature.\n",
                to);
    secret_key_free(key);
    free(args.items);
    return err;
}
