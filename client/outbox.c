#include "client/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/file.h"

enum { DISK_LOW_BYTES = 16 << 20 }; /* less is free where the outbox lies: the next builds may not be attested */

static bool matches(const struct config_list *globs, struct span name)
{
    for (size_t i = 0; i < globs->n; i++)
        if (glob_match(span_str(globs->items[i]), name))
            return true;
    return false;
}

bool outbox_skips(const struct client_config *config, const char *path)
{
    struct storepath parsed;
    if (storepath_parse(&parsed, span_str(path), NULL) != OK)
        return true;
    return matches(&config->skip_globs, parsed.name) ||
           (config->attest_globs.n > 0 && !matches(&config->attest_globs, parsed.name));
}

enum err outbox_put(const struct client_config *config, const char *drv_path, const struct attestation *attestation,
                    struct why *why)
{
    struct storepath drv;
    struct buf path = BUF_EMPTY;
    enum err err = storepath_parse(&drv, span_str(drv_path), why);
    if (err == OK)
        err = dir_make(config->outbox, 0700, why);
    if (err != OK)
        return err;
    buf_fmt(&path, "%s/%.*s-", config->outbox, SPAN_FMT(drv.hash_part));
    hex_encode(&path, span_of(attestation->entry.b, 8));
    buf_str(&path, ".jsonl");
    buf_byte(&path, '\0');
    err = buf_done(&path, why);
    if (err == OK)
        err = file_replace((const char *)path.data, 0600, span_buf(&attestation->lines), why);
    buf_free(&path);
    return err;
}

enum err outbox_set_aside(const struct client_config *config, const char *name, const char *reason, struct why *why)
{
    struct buf from = BUF_EMPTY, to = BUF_EMPTY, note = BUF_EMPTY;
    const char *slash = strrchr(name, '/'), *base = slash == NULL ? name : slash + 1;
    buf_fmt(&from, "%s/%s", config->outbox, name);
    buf_fmt(&to, "%s/refused/%s", config->outbox, base);
    buf_fmt(&note, "%s/refused/%s.why", config->outbox, base);
    buf_byte(&from, '\0');
    buf_byte(&to, '\0');
    buf_byte(&note, '\0');
    char *dir = path_join(config->outbox, "refused");
    enum err err =
        from.failed || to.failed || note.failed || dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(dir, 0700, why);
    if (err == OK)
        err = file_replace((const char *)note.data, 0600, span_str(reason), why);
    if (err == OK && rename((const char *)from.data, (const char *)to.data) != 0)
        err = fail(why, ERR_ENV, "cannot set %s aside: %s", (const char *)from.data, strerror(errno));
    buf_free(&from);
    buf_free(&to);
    buf_free(&note);
    free(dir);
    return err;
}

enum err outbox_room(const struct client_config *config, struct why *why)
{
    const char *dir = config->outbox;
    char *place = span_dup_str(span_str(dir)), *slash;
    struct stat st;
    uint64_t bytes = 0;
    enum err err = OK;
    /* The outbox, or the folder in which the hook would make it. */
    while (place != NULL && access(place, F_OK) != 0 && errno == ENOENT && (slash = strrchr(place, '/')) != NULL && slash > place)
        *slash = '\0';
    if (place == NULL || stat(place, &st) != 0)
        err = fail(why, ERR_ENV, "nothing can be put into %s: %s", dir, strerror(errno));
    else if (!S_ISDIR(st.st_mode) || access(place, W_OK | X_OK) != 0)
        err = fail(why, ERR_ENV, "nothing can be put into %s: %s is %s", dir, place,
                   S_ISDIR(st.st_mode) ? "not ours to write" : "no folder");
    else if (disk_free(place, &bytes, NULL) == OK && bytes < DISK_LOW_BYTES)
        err = fail(why, ERR_ENV, "the disk is full: %llu bytes are free where %s lies", (unsigned long long)bytes, dir);
    free(place);
    return err;
}
