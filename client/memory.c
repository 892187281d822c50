#include "client/memory.h"

#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/sys/file.h"

/* STATE/heads/<hex of SHA-256 of the origin>, or STATE/evidence/<the same><suffix>. */
static char *path_of(const struct client_config *config, const char *folder, struct span origin, const char *suffix)
{
    struct hash hash = sha256_of(origin);
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "%s/%s/", config->state, folder);
    hex_encode(&path, span_of(hash.b, sizeof hash.b));
    buf_str(&path, suffix);
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

static enum err write_in(const struct client_config *config, const char *folder, struct span origin, const char *suffix,
                         struct span content, struct why *why)
{
    char *path = path_of(config, folder, origin, suffix), *dir = path_join(config->state, folder);
    enum err err = path == NULL || dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0755, why);
    if (err == OK)
        err = file_replace(path, 0644, content, why);
    free(path);
    free(dir);
    return err;
}

/* Both signed heads are kept: together they prove the fork to anybody. */
static enum err report_fork(const struct client_config *config, const struct checkpoint *now, struct span before, struct span note,
                            struct why *why)
{
    struct why trouble = { "" };
    enum err err = write_in(config, "evidence", now->origin, ".1", before, &trouble);
    if (err == OK)
        err = write_in(config, "evidence", now->origin, ".2", note, &trouble);
    return fail(
        why, ERR_REFUSED,
        "the log %.*s FORKED: two heads of size %llu with different roots, both under the quorum%s%s; it is no longer believed",
        SPAN_FMT(now->origin), (unsigned long long)now->size,
        err == OK ? "; both are kept in " : "; they could not be kept: ", err == OK ? "STATE/evidence" : trouble.text);
}

enum err memory_see(const struct client_config *config, const struct checkpoint *checkpoint, struct span note, struct why *why)
{
    struct buf before = BUF_EMPTY;
    struct note old_note;
    struct checkpoint old;
    bool found = false;
    if (memory_forked(config, checkpoint->origin))
        return fail(why, ERR_REFUSED, "the log %.*s has forked before, and is not believed", SPAN_FMT(checkpoint->origin));
    char *path = path_of(config, "heads", checkpoint->origin, "");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, NOTE_BYTES_MAX, &before, &found, why);
    /* A damaged memory is as good as none: it is written anew. */
    bool remembered = err == OK && found && note_parse(&old_note, span_buf(&before), NULL) == OK &&
                      checkpoint_parse(&old, old_note.text, NULL) == OK && span_eq(old.origin, checkpoint->origin);
    if (err == OK && remembered && old.size == checkpoint->size && !hash_eq(&old.root, &checkpoint->root))
        err = report_fork(config, checkpoint, span_buf(&before), note, why);
    else if (err == OK && (!remembered || old.size < checkpoint->size))
        err = write_in(config, "heads", checkpoint->origin, "", note, why);
    buf_free(&before);
    free(path);
    return err;
}

bool memory_forked(const struct client_config *config, struct span origin)
{
    struct buf ignored = BUF_EMPTY;
    bool found = false;
    char *path = path_of(config, "evidence", origin, ".2");
    enum err err = path == NULL ? ERR_ENV : file_read_if(path, NOTE_BYTES_MAX, &ignored, &found, NULL);
    buf_free(&ignored);
    free(path);
    return err != OK || found;
}
