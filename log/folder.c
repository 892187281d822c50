#include "log/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/checkpoint.h"
#include "lib/headsfile.h"
#include "lib/sys/file.h"
#include "lib/sys/service.h"
#include "log/limits.h"

static const size_t HEADS_BYTES_MAX = (size_t)1 << 30;

enum err folder_key(const struct log_config *config, struct buf *text, struct vkey *key, struct why *why)
{
    enum err err = service_vkey(config->dir, SIG_ED25519, text, why);
    if (err == OK)
        err = vkey_parse(key, span_buf(text), SIG_ED25519, why);
    if (err == OK && !span_is(key->name, config->origin))
        err = fail(why, ERR_REFUSED, "%s/key.pub is the key of %.*s, not of the configured origin %s", config->dir,
                   SPAN_FMT(key->name), config->origin);
    return err;
}

enum err folder_open_checkpoint(const struct vkey *key, struct span text, struct head *head, struct why *why)
{
    struct note note;
    struct checkpoint checkpoint;
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_open(&checkpoint, &note, key->name, key, 1, why);
    if (err == OK)
        *head = (struct head){ checkpoint.size, checkpoint.root };
    return err;
}

enum err folder_checkpoint(const struct log_config *config, const struct vkey *key, struct buf *note, struct folder_head *out,
                           struct why *why)
{
    *out = (struct folder_head){ 0 };
    char *path = path_join(config->dir, "checkpoint");
    size_t from = note->len;
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, NOTE_BYTES_MAX, note, &out->found, why);
    if (err == OK && out->found) {
        err = folder_open_checkpoint(key, span_cut(span_buf(note), from, note->len - from), &out->head, why);
        if (err != OK)
            fail_in(why, err, "%s", path);
    }
    free(path);
    return err;
}

struct newest {
    struct hash origin_hash;
    struct folder_head *out;
};

static enum err take_head(void *ctx, const struct headsfile_record *record, struct why *why)
{
    struct newest *newest = ctx;
    (void)why;
    if (hash_eq(&record->origin_hash, &newest->origin_hash))
        *newest->out = (struct folder_head){ true, record->head, record->time_s };
    return OK;
}

enum err folder_signed(const struct log_config *config, struct folder_head *out, bool *there, struct why *why)
{
    *out = (struct folder_head){ 0 };
    struct buf file = BUF_EMPTY;
    struct newest newest = { .origin_hash = sha256_of(span_str(config->origin)), .out = out };
    size_t valid_len;
    char *path = path_join(config->dir, "heads");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, HEADS_BYTES_MAX, &file, there, why);
    if (err == OK && *there && (err = headsfile_parse(span_buf(&file), take_head, &newest, &valid_len, why)) != OK)
        fail_in(why, err, "%s", path);
    buf_free(&file);
    free(path);
    return err;
}

enum err folder_frozen(const struct log_config *config, struct buf *text, bool *frozen, struct why *why)
{
    char *path = path_join(config->dir, "frozen");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, FROZEN_BYTES_MAX, text, frozen, why);
    free(path);
    while (err == OK && text->len > 0 && text->data[text->len - 1] == '\n')
        text->len--;
    return err;
}

enum err folder_has(const struct log_config *config, const char *name, bool *there, struct why *why)
{
    struct stat st;
    char *path = path_join(config->dir, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    *there = err == OK && lstat(path, &st) == 0;
    if (err == OK && !*there && errno != ENOENT && errno != ENOTDIR)
        err = fail(why, ERR_ENV, "cannot look at %s: %s", path, strerror(errno));
    free(path);
    return err;
}
