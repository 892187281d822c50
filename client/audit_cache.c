/* The paths of a binary cache, as its narinfos describe them. */
#include "client/audit.h"

#include <stdlib.h>

#include "lib/sys/file.h"

enum {
    TROUBLES_MAX = 100, /* told */
    PAGE_PATHS = 1000,  /* read of the database at once */
};

struct listing {
    struct audit *audit;
    const char *dir;
    enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why);
    void *ctx;
};

static char *full_path(struct span dir, struct span base)
{
    struct buf path = BUF_EMPTY;
    buf_fmt(&path, "%.*s/%.*s", SPAN_FMT(dir), SPAN_FMT(base));
    buf_byte(&path, '\0');
    if (!path.failed)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}

static enum err info_of(const struct narinfo *narinfo, struct nixdb_info *out, struct why *why)
{
    struct buf sigs = BUF_EMPTY;
    for (size_t i = 0; i < narinfo->sigs_n; i++) {
        buf_fmt(&sigs, "%s%.*s:", i > 0 ? " " : "", SPAN_FMT(narinfo->sigs[i].name));
        base64_encode(&sigs, span_of(narinfo->sigs[i].sig, 64));
    }
    *out = (struct nixdb_info){ .nar_hash = narinfo->nar_hash, .nar_size = narinfo->nar_size };
    out->path = span_dup_str(narinfo->path.path);
    out->sigs = span_dup_str(span_buf(&sigs));
    out->ca = narinfo->ca.len > 0 ? span_dup_str(narinfo->ca) : NULL;
    out->references = calloc(narinfo->references_n + 1, sizeof *out->references);
    bool had = !sigs.failed && out->path != NULL && out->sigs != NULL && out->references != NULL &&
               (narinfo->ca.len == 0 || out->ca != NULL);
    for (size_t i = 0; i < narinfo->references_n && had; i++) {
        out->references[i] = full_path(narinfo->path.dir, narinfo->references[i]);
        had = out->references[i] != NULL;
        out->references_n += had;
    }
    buf_free(&sigs);
    return had ? OK : fail(why, ERR_ENV, "out of memory");
}

/* What Nix would refuse as malformed is noted; it cannot be substituted. */
static void note_malformed(struct audit *audit, struct span hash_part, const struct why *trouble)
{
    buf_fmt(&audit->troubles, "  %.*s.narinfo: %s\n", SPAN_FMT(hash_part), trouble->text);
    audit->false_addresses++;
}

/* One narinfo. */
static enum err take(struct listing *listing, struct span text, struct span hash_part, struct why *why)
{
    struct narinfo narinfo = { 0 };
    struct nixdb_info info = { 0 };
    struct why trouble;
    enum err err = narinfo_parse(&narinfo, text, span_str(listing->dir), &trouble);
    if (err == OK && !span_eq(narinfo.path.hash_part, hash_part))
        err = fail(&trouble, ERR_MALFORMED, "it describes another path, %.*s", SPAN_FMT(narinfo.path.path));
    if (err == OK) {
        err = info_of(&narinfo, &info, why);
        if (err == OK)
            err = listing->each(listing->ctx, &info, why);
    } else {
        note_malformed(listing->audit, hash_part, &trouble);
        err = err == ERR_ENV ? fail(why, ERR_ENV, "%s", trouble.text) : OK;
    }
    nixdb_info_free(&info);
    narinfo_free(&narinfo);
    return err;
}

static enum err ask(struct listing *listing, struct span hash_part, const char *named, struct why *why)
{
    struct gathered gathered = { 0 };
    struct why trouble;
    bool found;
    enum err err = gather_narinfo(&gathered, listing->audit->local.client, listing->audit->cache, hash_part, &found, &trouble);
    if (err == ERR_MALFORMED)
        note_malformed(listing->audit, hash_part, &trouble);
    else if (err != OK && listing->audit->not_answered++ < TROUBLES_MAX)
        buf_fmt(&listing->audit->troubles, "  %s\n", trouble.text);
    if (err != OK)
        err = OK;
    else if (found)
        err = take(listing, span_buf(&gathered.narinfo), hash_part, why);
    else if (named != NULL)
        err = fail(why, ERR_REFUSED, "%s is not in the cache %s", named, listing->audit->cache);
    gathered_free(&gathered);
    return err;
}

static enum err each_name(void *ctx, const char *name, struct why *why)
{
    struct span base = span_str(name);
    if (!span_ends(base, ".narinfo"))
        return OK;
    base.len -= strlen(".narinfo");
    return storepath_hash_part_ok(base) ? ask(ctx, base, NULL, why) : OK;
}

static enum err add_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct buf *page = ctx;
    buf_fmt(page, "%s\n", info->path);
    return buf_done(page, why);
}

/* Over HTTP a cache has no list of what it has: it is asked for what is in this store. A page at a time: while the cache and the
 * logs are asked, the database is not held. */
static enum err ask_for_all(struct listing *listing, struct why *why)
{
    struct buf page = BUF_EMPTY, after = BUF_EMPTY;
    enum err err = OK;
    do {
        struct span rest, line = { 0 };
        buf_byte(&after, '\0');
        buf_clear(&page);
        err = buf_done(&after, why);
        if (err == OK)
            err = nixdb_after(listing->audit->local.db, (const char *)after.data, PAGE_PATHS, add_path, &page, why);
        for (rest = span_buf(&page); err == OK && span_line(&rest, &line);) {
            struct storepath path;
            err = storepath_parse(&path, line, why);
            if (err == OK)
                err = ask(listing, path.hash_part, NULL, why);
        }
        buf_clear(&after);
        buf_span(&after, line);
    } while (err == OK && page.len > 0);
    buf_free(&page);
    buf_free(&after);
    return err;
}

enum err audit_cache(struct audit *audit, const char *const *paths, size_t n,
                     enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx, struct why *why)
{
    const char *dir = audit->local.config.store_dir != NULL ? audit->local.config.store_dir : audit->local.env.store_dir;
    struct listing listing = { audit, dir, each, ctx };
    struct storepath path;
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        err = storepath_parse(&path, span_str(paths[i]), why);
        if (err == OK)
            err = ask(&listing, path.hash_part, paths[i], why);
    }
    if (n > 0 || err != OK)
        return err;
    if (strncmp(audit->cache, "file://", 7) != 0)
        return ask_for_all(&listing, why);
    return dir_each(audit->cache + 7, each_name, &listing, why);
}
