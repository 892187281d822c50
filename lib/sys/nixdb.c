/* The database opened, and what it says of single paths. lib/sys/nixdb_paths.c has the questions about many. */
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/encode.h"
#include "lib/sys/file.h"
#include "lib/sys/nixdb_internal.h"

enum { BUSY_MS = 10000 };

static const char columns[] = "select id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths ";

enum err nixdb_fail(const struct nixdb *db, struct why *why)
{
    int code = sqlite3_extended_errcode(db->handle);
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN)
        return fail(
            why, ERR_ENV,
            "cannot read %s: %s; an idle Nix database is readable only by who may write beside it: run this as the store's owner",
            db->file, sqlite3_errmsg(db->handle));
    return fail(why, ERR_ENV, "cannot read %s: %s", db->file, sqlite3_errmsg(db->handle));
}

enum err nixdb_prepare(struct nixdb *db, const char *select, const char *rest, sqlite3_stmt **out, struct why *why)
{
    struct buf sql = BUF_EMPTY;
    buf_str(&sql, select);
    buf_str(&sql, rest);
    buf_byte(&sql, '\0');
    enum err err = buf_done(&sql, why);
    if (err == OK && sqlite3_prepare_v2(db->handle, (const char *)sql.data, -1, out, NULL) != SQLITE_OK)
        err = nixdb_fail(db, why);
    buf_free(&sql);
    return err;
}

enum err nixdb_open(struct nixdb **out, const struct nix_env *env, struct why *why)
{
    struct stat st;
    struct nixdb *db = calloc(1, sizeof *db);
    *out = NULL;
    if (db == NULL || (db->file = path_join(env->state_dir, "db/db.sqlite")) == NULL) {
        free(db);
        return fail(why, ERR_ENV, "out of memory");
    }
    enum err err = OK;
    if (stat(db->file, &st) != 0)
        err = fail(why, ERR_ENV, "there is no Nix database %s: is NIX_STATE_DIR, or --store, right?", db->file);
    else if (sqlite3_open_v2(db->file, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        err = nixdb_fail(db, why);
    if (err == OK)
        sqlite3_busy_timeout(db->handle, BUSY_MS);
    if (err == OK)
        err = nixdb_prepare(db, columns, "where path = ?", &db->by_path, why);
    if (err == OK)
        err = nixdb_prepare(db, columns, "where path >= ? and path < ? limit 1", &db->by_part, why);
    if (err == OK)
        err = nixdb_prepare(db, "select path, hash from ValidPaths where id = ?", "", &db->by_id, why);
    if (err == OK)
        err = nixdb_prepare(
            db, "select v.id, v.path from Refs r join ValidPaths v on v.id = r.reference where r.referrer = ? order by v.path", "",
            &db->references, why);
    if (err == OK)
        err = nixdb_prepare(db, "select reference from Refs where referrer = ?", "", &db->reference_ids, why);
    if (err == OK)
        err = nixdb_prepare(db, "select path from ValidPaths where deriver = ? order by id desc", "", &db->derived, why);
    if (err != OK) {
        nixdb_close(db);
        return err;
    }
    *out = db;
    return OK;
}

void nixdb_close(struct nixdb *db)
{
    if (db == NULL)
        return;
    sqlite3_finalize(db->by_path);
    sqlite3_finalize(db->by_part);
    sqlite3_finalize(db->by_id);
    sqlite3_finalize(db->references);
    sqlite3_finalize(db->reference_ids);
    sqlite3_finalize(db->derived);
    sqlite3_close(db->handle);
    free(db->file);
    free(db);
}

char *nixdb_text(sqlite3_stmt *row, int column, bool *short_of_memory)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    if (text == NULL || *text == '\0')
        return NULL;
    char *copy = span_dup_str(span_of(text, (size_t)sqlite3_column_bytes(row, column)));
    *short_of_memory |= copy == NULL;
    return copy;
}

bool nixdb_hash(sqlite3_stmt *row, int column, struct hash *out)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text != NULL && nix_sha256_decode(span_of(text, (size_t)sqlite3_column_bytes(row, column)), out);
}

enum err nixdb_take_column(struct nixdb *db, sqlite3_stmt *query, int column, struct nixdb_paths *out, struct why *why)
{
    int step;
    enum err err = OK;
    while (err == OK && (step = sqlite3_step(query)) == SQLITE_ROW) {
        bool short_of_memory = false;
        char *path = nixdb_text(query, column, &short_of_memory), **items = array_more(out->items, out->n, sizeof *items);
        out->items = items == NULL ? out->items : items;
        if (path == NULL || items == NULL) {
            free(path);
            err = fail(why, ERR_ENV, "out of memory");
        } else {
            items[out->n++] = path;
        }
    }
    if (err == OK && step != SQLITE_DONE)
        err = nixdb_fail(db, why);
    sqlite3_reset(query);
    return err;
}

/* Nix writes nothing else; and no other is known to come after itself, where it is asked for what follows. */
static bool is_plain_text(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_type(row, column) == SQLITE_TEXT ? sqlite3_column_text(row, column) : NULL;
    return text != NULL && strlen((const char *)text) == (size_t)sqlite3_column_bytes(row, column);
}

static enum err take_info(struct nixdb *db, sqlite3_stmt *row, struct nixdb_info *out, struct why *why)
{
    bool short_of_memory = false;
    *out = (struct nixdb_info){
        .id = sqlite3_column_int64(row, 0),
        .registered_s = (uint64_t)sqlite3_column_int64(row, 3),
        .nar_size = (uint64_t)sqlite3_column_int64(row, 5),
        .ultimate = sqlite3_column_int(row, 6) == 1,
    };
    if (!is_plain_text(row, 1))
        return fail(why, ERR_MALFORMED, "%s: a row of ValidPaths has no path in plain text: its id is %lld", db->file,
                    (long long)out->id);
    out->path = nixdb_text(row, 1, &short_of_memory);
    out->deriver = nixdb_text(row, 4, &short_of_memory);
    out->sigs = nixdb_text(row, 7, &short_of_memory);
    out->ca = nixdb_text(row, 8, &short_of_memory);
    if (short_of_memory || out->path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (!nixdb_hash(row, 2, &out->nar_hash))
        return fail(why, ERR_MALFORMED, "%s: %s has no SHA-256 hash", db->file, out->path);
    struct nixdb_paths references = { 0 };
    sqlite3_bind_int64(db->references, 1, out->id);
    enum err err = nixdb_take_column(db, db->references, 1, &references, why);
    out->references = references.items;
    out->references_n = references.n;
    return err;
}

void nixdb_info_free(struct nixdb_info *info)
{
    free(info->path);
    free(info->deriver);
    free(info->sigs);
    free(info->ca);
    for (size_t i = 0; i < info->references_n; i++)
        free(info->references[i]);
    free(info->references);
    *info = (struct nixdb_info){ 0 };
}

enum err nixdb_path(struct nixdb *db, const char *path, struct nixdb_info *out, bool *found, struct why *why)
{
    *out = (struct nixdb_info){ 0 };
    sqlite3_bind_text(db->by_path, 1, path, -1, SQLITE_STATIC);
    int step = sqlite3_step(db->by_path);
    *found = step == SQLITE_ROW;
    enum err err = *found ? take_info(db, db->by_path, out, why) : step == SQLITE_DONE ? OK : nixdb_fail(db, why);
    sqlite3_reset(db->by_path);
    if (err != OK)
        nixdb_info_free(out);
    return err;
}

enum err nixdb_part(struct nixdb *db, const char *dir, struct span hash_part, struct nixdb_info *out, bool *found, struct why *why)
{
    struct buf from = BUF_EMPTY, to = BUF_EMPTY;
    *out = (struct nixdb_info){ 0 };
    *found = false;
    buf_fmt(&from, "%s/%.*s-", dir, SPAN_FMT(hash_part));
    buf_fmt(&to, "%s/%.*s.", dir, SPAN_FMT(hash_part)); /* '.' follows '-' */
    enum err err = from.failed || to.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK) {
        sqlite3_bind_text(db->by_part, 1, (const char *)from.data, (int)from.len, SQLITE_STATIC);
        sqlite3_bind_text(db->by_part, 2, (const char *)to.data, (int)to.len, SQLITE_STATIC);
        int step = sqlite3_step(db->by_part);
        *found = step == SQLITE_ROW;
        err = *found ? take_info(db, db->by_part, out, why) : step == SQLITE_DONE ? OK : nixdb_fail(db, why);
        sqlite3_reset(db->by_part);
        sqlite3_clear_bindings(db->by_part);
    }
    buf_free(&from);
    buf_free(&to);
    if (err != OK)
        nixdb_info_free(out);
    return err;
}

enum err nixdb_count(struct nixdb *db, size_t *out, struct why *why)
{
    sqlite3_stmt *query = NULL;
    enum err err = nixdb_prepare(db, "select count(*) from ValidPaths", "", &query, why);
    if (err == OK && sqlite3_step(query) != SQLITE_ROW)
        err = nixdb_fail(db, why);
    if (err == OK)
        *out = (size_t)sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return err;
}

enum err nixdb_after(struct nixdb *db, const char *after, size_t max,
                     enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx, struct why *why)
{
    sqlite3_stmt *query = NULL;
    int step = SQLITE_DONE;
    enum err err = nixdb_prepare(db, columns, "where path > ? order by path limit ?", &query, why);
    if (err == OK) {
        sqlite3_bind_text(query, 1, after == NULL ? "" : after, -1, SQLITE_STATIC);
        sqlite3_bind_int64(query, 2, max > INT64_MAX ? -1 : (sqlite3_int64)max);
    }
    while (err == OK && (step = sqlite3_step(query)) == SQLITE_ROW) {
        struct nixdb_info info;
        err = take_info(db, query, &info, why);
        if (err == OK)
            err = each(ctx, &info, why);
        nixdb_info_free(&info);
    }
    if (err == OK && step != SQLITE_DONE)
        err = nixdb_fail(db, why);
    sqlite3_finalize(query);
    return err;
}

enum err nixdb_each(struct nixdb *db, enum err (*each)(void *ctx, const struct nixdb_info *info, struct why *why), void *ctx,
                    struct why *why)
{
    return nixdb_after(db, NULL, SIZE_MAX, each, ctx, why);
}

static bool copy_text(char **out, const char *text)
{
    *out = text == NULL ? NULL : span_dup_str(span_str(text));
    return text == NULL || *out != NULL;
}

enum err nixdb_info_copy(const struct nixdb_info *info, struct nixdb_info *out, struct why *why)
{
    *out = *info;
    out->references_n = 0;
    out->references = calloc(info->references_n + 1, sizeof *out->references);
    bool had = copy_text(&out->path, info->path);
    had = copy_text(&out->deriver, info->deriver) && had;
    had = copy_text(&out->sigs, info->sigs) && had;
    had = copy_text(&out->ca, info->ca) && had && out->references != NULL;
    for (size_t i = 0; i < info->references_n && had; i++) {
        had = copy_text(&out->references[i], info->references[i]);
        out->references_n += had;
    }
    if (had)
        return OK;
    nixdb_info_free(out);
    return fail(why, ERR_ENV, "out of memory");
}

enum err nixdb_freeze(struct nixdb *db, struct why *why)
{
    return sqlite3_exec(db->handle, "begin", NULL, NULL, NULL) == SQLITE_OK ? OK : nixdb_fail(db, why);
}
