/*
 * The missing entries from a mirror, or any other copy of the log that serves tiles. What is taken is proven to be a beginning
 * of the signed tree before it is stored.
 */
#include <stdlib.h>

#include "lib/sys/cli.h"
#include "log/limits.h"
#include "log/recover.h"

static struct head own_head(const struct recovery *recovery)
{
    return (struct head){ recovery->frontier.size, frontier_root(&recovery->frontier) };
}

/* What is stored, and every head that the log signed beyond it, must be heads of the copy's tree, as far as it reaches. */
static enum err check_copy(struct recovery *recovery, struct why *why)
{
    const struct head *head = &recovery->note_head, own = own_head(recovery);
    for (size_t i = 0; i < recovery->heads_n; i++) {
        const struct known_head *known = &recovery->heads[i];
        if (known->head.size <= own.size || known->head.size > head->size)
            continue;
        enum err err = remote_extends(recovery->remote, &known->head, head, why);
        if (err != OK)
            return err == ERR_ENV ? err
                                  : fail_in(why, ERR_REFUSED, "the copy does not continue %s of %llu entries", known->whose,
                                            (unsigned long long)known->head.size);
    }
    if (own.size > head->size)
        return OK;
    enum err err = remote_extends(recovery->remote, &own, head, why);
    if (err == ERR_REFUSED)
        fail_in(why, err,
                "the copy does not show that its tree begins with the %llu entries that are here (`stele-log fsck` looks at them; "
                "with %s/data moved away everything is taken from the copy)",
                (unsigned long long)own.size, recovery->config.dir);
    return err;
}

enum err recover_open_remote(struct recovery *recovery, const char *url, unsigned patience_ms, struct why *why)
{
    struct span note;
    enum err err = remote_open(&recovery->remote, url, patience_ms, why);
    if (err == OK)
        err = remote_checkpoint(recovery->remote, &note, why);
    if (err != OK)
        return err;
    buf_span(&recovery->note, note);
    err = buf_done(&recovery->note, why);
    if (err == OK && (err = folder_open_checkpoint(&recovery->key, span_buf(&recovery->note), &recovery->note_head, why)) != OK)
        return fail_in(why, err, "the checkpoint of the copy");
    if (err == OK)
        err = recovery_know(recovery, &recovery->note_head, "the copy's checkpoint", why);
    remote_use_size(recovery->remote, recovery->note_head.size);
    return err == OK ? check_copy(recovery, why) : err;
}

/* The next bundles, at most RECOVER_BUNDLES: their entries from the first that is missing on, in the form of a bundle. */
static enum err fetch(struct recovery *recovery, struct buf *bytes, size_t *n, struct why *why)
{
    uint64_t at = recovery->frontier.size, size = recovery->note_head.size;
    enum err err = OK;
    buf_clear(bytes);
    *n = 0;
    for (unsigned i = 0; i < RECOVER_BUNDLES && at < size && err == OK; i++) {
        uint64_t number = at / TILE_WIDTH;
        unsigned width = tile_width(0, number, size), skip = (unsigned)(at % TILE_WIDTH);
        struct span bundle, entry;
        err = remote_bundle(recovery->remote, number, width, &bundle, why);
        for (unsigned k = 0; k < skip && err == OK; k++)
            bundle_next(&bundle, &entry);
        if (err != OK)
            return err;
        buf_span(bytes, bundle);
        *n += width - skip;
        at += width - skip;
    }
    return err == OK ? buf_done(bytes, why) : err;
}

/* What was fetched, before any of it is stored. */
static enum err prove(struct recovery *recovery, const struct frontier *after, struct why *why)
{
    struct head head = { after->size, frontier_root(after) };
    enum err err = remote_extends(recovery->remote, &head, &recovery->note_head, why);
    return err == ERR_REFUSED ? fail_in(why, err, "the copy's entries %llu to %llu are not those that the log signed",
                                        (unsigned long long)recovery->frontier.size, (unsigned long long)after->size - 1)
                              : err;
}

enum err recover_from_remote(struct recovery *recovery, struct why *why)
{
    struct span *entries = calloc((size_t)RECOVER_BUNDLES * TILE_WIDTH, sizeof *entries);
    struct buf bytes = BUF_EMPTY;
    enum err err = entries == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    while (err == OK && recovery->frontier.size < recovery->note_head.size) {
        struct frontier after;
        size_t n;
        cli_progress("taking entries", (size_t)recovery->frontier.size, (size_t)recovery->note_head.size);
        err = fetch(recovery, &bytes, &n, why);
        struct span rest = span_buf(&bytes);
        for (size_t i = 0; i < n && err == OK; i++)
            bundle_next(&rest, &entries[i]);
        if (err == OK)
            err = recovery_try(recovery, entries, n, &after, why);
        if (err == OK)
            err = prove(recovery, &after, why);
        if (err == OK)
            err = recovery_append(recovery, entries, n, &after, why);
    }
    cli_progress_end();
    buf_free(&bytes);
    free(entries);
    return err;
}
