/*
 * What lib/sys/nixdb.c and lib/sys/nixdb_paths.c share.
 */
#ifndef STELE_SYS_NIXDB_INTERNAL_H
#define STELE_SYS_NIXDB_INTERNAL_H

#include <sqlite3.h>

#include "lib/sys/nixdb.h"

struct nixdb {
    sqlite3 *handle;
    char *file;
    sqlite3_stmt *by_path, *by_part, *by_id, *references, *reference_ids, *derived;
};

/* ERR_ENV: what SQLite said last. */
enum err nixdb_fail(const struct nixdb *db, struct why *why);
/* `select` and `rest` together. To be finalized, also after an error. */
enum err nixdb_prepare(struct nixdb *db, const char *select, const char *rest, sqlite3_stmt **out, struct why *why);
/* A text column's copy; NULL where it is null or empty, or memory is short (then *short_of_memory). */
char *nixdb_text(sqlite3_stmt *row, int column, bool *short_of_memory);
bool nixdb_hash(sqlite3_stmt *row, int column, struct hash *out);
/* Appends all rows of one text column, without hashes, and resets the query. */
enum err nixdb_take_column(struct nixdb *db, sqlite3_stmt *query, int column, struct nixdb_paths *out, struct why *why);

#endif
