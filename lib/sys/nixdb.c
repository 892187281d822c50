#include "lib/sys/nixdb.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/encode.h"
#include "lib/sys/file.h"

enum { BUSY_MS = 10000 };

struct nixdb {
    sqlite3 *handle;
    char *file;
    sqlite3_stmt *by_path, *by_part, *by_id, *references, *reference_ids, *derived;
};

static const char columns[] = "select id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths ";

static enum err failed(const struct nixdb *db, struct why *why)
{
    int code = sqlite3_extended_errcode(db->handle);
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN)
        return fail(
            why, ERR_ENV,
            "cannot read %s: %s; an idle Nix database is readable only by who may write beside it: run this as the store's owner",
            db->file, sqlite3_errmsg(db->handle));
    return fail(why, ERR_ENV, "cannot read %s: %s", db->file, sqlite3_errmsg(db->handle));
}

static enum err prepare(struct nixdb *db, const char *select, const char *rest, sqlite3_stmt **out, struct why *why)
{
    struct buf sql = BUF_EMPTY;
    buf_str(&sql, select);
    buf_str(&sql, rest);
    buf_byte(&sql, '\0');
    enum err err = buf_done(&sql, why);
    if (err == OK && sqlite3_prepare_v2(db->handle, (const char *)sql.data, -1, out, NULL) != SQLITE_OK)
        err = failed(db, why);
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
        err = failed(db, why);
    if (err == OK)
        sqlite3_busy_timeout(db->handle, BUSY_MS);
    if (err == OK)
        err = prepare(db, columns, "where path = ?", &db->by_path, why);
    if (err == OK)
        err = prepare(db, columns, "where path >= ? and path < ? limit 1", &db->by_part, why);
    if (err == OK)
        err = prepare(db, "select path, hash from ValidPaths where id = ?", "", &db->by_id, why);
    if (err == OK)
        err =
            prepare(db,
                    "select v.id, v.path from Refs r join ValidPaths v on v.id = r.reference where r.referrer = ? order by v.path",
                    "", &db->references, why);
    if (err == OK)
        err = prepare(db, "select reference from Refs where referrer = ?", "", &db->reference_ids, why);
    if (err == OK)
        err = prepare(db, "select path from ValidPaths where deriver = ? order by id desc", "", &db->derived, why);
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

/* A text column's copy; NULL where it is null or empty, or memory is short (then *short_of_memory). */
static char *text_of(sqlite3_stmt *row, int column, bool *short_of_memory)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    if (text == NULL || *text == '\0')
        return NULL;
    char *copy = span_dup_str(span_of(text, (size_t)sqlite3_column_bytes(row, column)));
    *short_of_memory |= copy == NULL;
    return copy;
}

static bool hash_of(sqlite3_stmt *row, int column, struct hash *out)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text != NULL && nix_sha256_decode(span_of(text, (size_t)sqlite3_column_bytes(row, column)), out);
}

static enum err push(struct nixdb_paths *paths, char *path, struct why *why)
{
    if ((paths->n & (paths->n - 1)) == 0) {
        size_t cap = paths->n == 0 ? 1 : 2 * paths->n;
        char **items = path == NULL ? NULL : realloc(paths->items, cap * sizeof *items);
        if (items == NULL) {
            free(path);
            return fail(why, ERR_ENV, "out of memory");
        }
        paths->items = items;
    } else if (path == NULL) {
        return fail(why, ERR_ENV, "out of memory");
    }
    paths->items[paths->n++] = path;
    return OK;
}

void nixdb_paths_free(struct nixdb_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->items[i]);
    free(paths->items);
    free(paths->hashes);
    *paths = (struct nixdb_paths){ 0 };
}

/* All rows of one text column. */
static enum err take_column(struct nixdb *db, sqlite3_stmt *query, int column, struct nixdb_paths *out, struct why *why)
{
    int step;
    enum err err = OK;
    while (err == OK && (step = sqlite3_step(query)) == SQLITE_ROW) {
        bool short_of_memory = false;
        err = push(out, text_of(query, column, &short_of_memory), why);
    }
    if (err == OK && step != SQLITE_DONE)
        err = failed(db, why);
    sqlite3_reset(query);
    return err;
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
    out->path = text_of(row, 1, &short_of_memory);
    out->deriver = text_of(row, 4, &short_of_memory);
    out->sigs = text_of(row, 7, &short_of_memory);
    out->ca = text_of(row, 8, &short_of_memory);
    if (short_of_memory || out->path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (!hash_of(row, 2, &out->nar_hash))
        return fail(why, ERR_MALFORMED, "%s: %s has no SHA-256 hash", db->file, out->path);
    struct nixdb_paths references = { 0 };
    sqlite3_bind_int64(db->references, 1, out->id);
    enum err err = take_column(db, db->references, 1, &references, why);
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
    enum err err = *found ? take_info(db, db->by_path, out, why) : step == SQLITE_DONE ? OK : failed(db, why);
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
        err = *found ? take_info(db, db->by_part, out, why) : step == SQLITE_DONE ? OK : failed(db, why);
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
    enum err err = prepare(db, "select count(*) from ValidPaths", "", &query, why);
    if (err == OK && sqlite3_step(query) != SQLITE_ROW)
        err = failed(db, why);
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
    enum err err = prepare(db, columns, "where path > ? order by path limit ?", &query, why);
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
        err = failed(db, why);
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

enum err nixdb_referrers(struct nixdb *db, const char *path, size_t max, struct nixdb_paths *out, struct why *why)
{
    static const char sql[] =
        "with recursive users(id) as (select r.referrer from Refs r join ValidPaths v on v.id = r.reference where v.path = ?1 "
        "union select r.referrer from Refs r join users u on r.reference = u.id) "
        "select v.path from users u join ValidPaths v on v.id = u.id where v.path <> ?1 order by v.path limit ?2";
    sqlite3_stmt *query = NULL;
    *out = (struct nixdb_paths){ 0 };
    enum err err = prepare(db, sql, "", &query, why);
    if (err == OK) {
        sqlite3_bind_text(query, 1, path, -1, SQLITE_STATIC);
        sqlite3_bind_int64(query, 2, (sqlite3_int64)max);
        err = take_column(db, query, 0, out, why);
    }
    sqlite3_finalize(query);
    if (err != OK)
        nixdb_paths_free(out);
    return err;
}

enum err nixdb_derived(struct nixdb *db, const char *drv, struct nixdb_paths *out, struct why *why)
{
    *out = (struct nixdb_paths){ 0 };
    sqlite3_bind_text(db->derived, 1, drv, -1, SQLITE_STATIC);
    enum err err = take_column(db, db->derived, 0, out, why);
    if (err != OK)
        nixdb_paths_free(out);
    return err;
}

/* The ids seen, as a set that is also a queue: open addressing over an array in the order of arrival. */
struct id_set {
    int64_t *ids;
    size_t n, cap;
    size_t *slots; /* place plus one */
};

static size_t *id_slot(const struct id_set *set, int64_t id)
{
    size_t at = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u >> 20) % (2 * set->cap);
    while (set->slots[at] != 0 && set->ids[set->slots[at] - 1] != id)
        at = (at + 1) % (2 * set->cap);
    return &set->slots[at];
}

static enum err id_add(struct id_set *set, int64_t id, struct why *why)
{
    if (set->n == set->cap) {
        size_t cap = set->cap == 0 ? 256 : 2 * set->cap;
        int64_t *ids = realloc(set->ids, cap * sizeof *ids);
        size_t *slots = calloc(2 * cap, sizeof *slots);
        if (ids != NULL)
            set->ids = ids;
        if (ids == NULL || slots == NULL) {
            free(slots);
            return fail(why, ERR_ENV, "out of memory");
        }
        free(set->slots);
        set->slots = slots;
        set->cap = cap;
        for (size_t i = 0; i < set->n; i++)
            *id_slot(set, set->ids[i]) = i + 1;
    }
    size_t *slot = id_slot(set, id);
    if (*slot == 0) {
        set->ids[set->n++] = id;
        *slot = set->n;
    }
    return OK;
}

static enum err add_references(struct nixdb *db, struct id_set *set, int64_t id, struct why *why)
{
    int step;
    enum err err = OK;
    sqlite3_bind_int64(db->reference_ids, 1, id);
    while (err == OK && (step = sqlite3_step(db->reference_ids)) == SQLITE_ROW)
        err = id_add(set, sqlite3_column_int64(db->reference_ids, 0), why);
    if (err == OK && step != SQLITE_DONE)
        err = failed(db, why);
    sqlite3_reset(db->reference_ids);
    return err;
}

struct closure_item {
    char *path;
    struct hash hash;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct closure_item *)a)->path, ((const struct closure_item *)b)->path);
}

/* Path and hash of every id, sorted by path. */
static enum err resolve(struct nixdb *db, const struct id_set *set, struct nixdb_paths *out, struct why *why)
{
    struct closure_item *items = calloc(set->n + 1, sizeof *items);
    out->items = calloc(set->n + 1, sizeof *out->items);
    out->hashes = calloc(set->n + 1, sizeof *out->hashes);
    enum err err = items == NULL || out->items == NULL || out->hashes == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    size_t n = 0;
    for (; n < set->n && err == OK; n++) {
        bool short_of_memory = false;
        sqlite3_bind_int64(db->by_id, 1, set->ids[n]);
        if (sqlite3_step(db->by_id) != SQLITE_ROW)
            err = failed(db, why);
        else if ((items[n].path = text_of(db->by_id, 0, &short_of_memory)) == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (!hash_of(db->by_id, 1, &items[n].hash))
            err = fail(why, ERR_MALFORMED, "%s: %s has no SHA-256 hash", db->file, items[n].path);
        sqlite3_reset(db->by_id);
    }
    if (err == OK)
        qsort(items, n, sizeof *items, by_path);
    for (size_t i = 0; i < n; i++) {
        if (err != OK) {
            free(items[i].path);
            continue;
        }
        out->items[i] = items[i].path;
        out->hashes[i] = items[i].hash;
        out->n++;
    }
    free(items);
    return err;
}

static enum err add_paths(struct nixdb *db, struct id_set *set, const char *const *paths, size_t n, struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        sqlite3_bind_text(db->by_path, 1, paths[i], -1, SQLITE_STATIC);
        int step = sqlite3_step(db->by_path);
        if (step == SQLITE_ROW)
            err = id_add(set, sqlite3_column_int64(db->by_path, 0), why);
        else
            err = step == SQLITE_DONE ? fail(why, ERR_REFUSED, "%s is not a valid path of this store", paths[i]) : failed(db, why);
        sqlite3_reset(db->by_path);
    }
    return err;
}

enum err nixdb_freeze(struct nixdb *db, struct why *why)
{
    return sqlite3_exec(db->handle, "begin", NULL, NULL, NULL) == SQLITE_OK ? OK : failed(db, why);
}

enum err nixdb_closure(struct nixdb *db, const char *const *paths, size_t n, struct nixdb_paths *out, struct why *why)
{
    struct id_set set = { 0 };
    *out = (struct nixdb_paths){ 0 };
    /* One transaction: what a garbage collection or a build changes meanwhile is not seen by half. */
    bool own = sqlite3_get_autocommit(db->handle) != 0;
    enum err err = own ? nixdb_freeze(db, why) : OK;
    if (err == OK)
        err = add_paths(db, &set, paths, n, why);
    for (size_t i = 0; i < set.n && err == OK; i++)
        err = add_references(db, &set, set.ids[i], why);
    if (err == OK)
        err = resolve(db, &set, out, why);
    if (own && sqlite3_exec(db->handle, "commit", NULL, NULL, NULL) != SQLITE_OK && err == OK)
        err = failed(db, why);
    free(set.ids);
    free(set.slots);
    if (err != OK)
        nixdb_paths_free(out);
    return err;
}
