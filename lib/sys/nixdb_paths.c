/* The paths that were built from one, refer to one, or are referred to. */
#include <stdlib.h>

#include "lib/sys/nixdb_internal.h"

void nixdb_paths_free(struct nixdb_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->items[i]);
    free(paths->items);
    free(paths->hashes);
    *paths = (struct nixdb_paths){ 0 };
}

enum err nixdb_referrers(struct nixdb *db, const char *path, size_t max, struct nixdb_paths *out, struct why *why)
{
    /* The limit stands in the recursion: beyond it nothing is looked for. */
    static const char sql[] =
        "with recursive users(id) as (select r.referrer from Refs r join ValidPaths v on v.id = r.reference "
        "where v.path = ?1 and r.referrer <> r.reference "
        "union select r.referrer from Refs r join users u on r.reference = u.id where r.referrer <> r.reference limit ?2) "
        "select v.path from users u join ValidPaths v on v.id = u.id order by v.path";
    sqlite3_stmt *query = NULL;
    *out = (struct nixdb_paths){ 0 };
    enum err err = nixdb_prepare(db, sql, "", &query, why);
    if (err == OK) {
        sqlite3_bind_text(query, 1, path, -1, SQLITE_STATIC);
        sqlite3_bind_int64(query, 2, (sqlite3_int64)max);
        err = nixdb_take_column(db, query, 0, out, why);
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
    enum err err = nixdb_take_column(db, db->derived, 0, out, why);
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
        err = nixdb_fail(db, why);
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
            err = nixdb_fail(db, why);
        else if ((items[n].path = nixdb_text(db->by_id, 0, &short_of_memory)) == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (!nixdb_hash(db->by_id, 1, &items[n].hash))
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
            err = step == SQLITE_DONE ? fail(why, ERR_REFUSED, "%s is not a valid path of this store", paths[i])
                                      : nixdb_fail(db, why);
        sqlite3_reset(db->by_path);
    }
    return err;
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
        err = nixdb_fail(db, why);
    free(set.ids);
    free(set.slots);
    if (err != OK)
        nixdb_paths_free(out);
    return err;
}
