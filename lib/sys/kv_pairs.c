/* What is read and written in a transaction. */
#include <assert.h>

#include "lib/sys/kv_internal.h"

static MDB_val val_of(struct span s)
{
    /* LMDB's values are not const, but it writes to none that is handed in. */
    union {
        const uint8_t *in;
        void *out;
    } data = { s.data };
    return (MDB_val){ s.len, data.out };
}

static struct span span_val(MDB_val val)
{
    return span_of(val.mv_data, val.mv_size);
}

enum err kv_get(struct kv_txn *txn, unsigned table, struct span key, struct span *value, bool *found, struct why *why)
{
    MDB_val k = val_of(key), v;
    int code = mdb_get(txn->txn, txn->kv->tables[table], &k, &v);
    *found = code == 0;
    if (code == 0)
        *value = span_val(v);
    return code == 0 || code == MDB_NOTFOUND ? OK : kv_fail(txn->kv, "get", code, why);
}

enum err kv_count(struct kv_txn *txn, unsigned table, uint64_t *count, struct why *why)
{
    MDB_stat stat;
    int code = mdb_stat(txn->txn, txn->kv->tables[table], &stat);
    if (code != 0)
        return kv_fail(txn->kv, "count", code, why);
    *count = stat.ms_entries;
    return OK;
}

enum err kv_floor(struct kv_txn *txn, unsigned table, struct span key, struct span *found_key, struct span *value, bool *found,
                  struct why *why)
{
    MDB_cursor *cursor;
    *found = false;
    int code = mdb_cursor_open(txn->txn, txn->kv->tables[table], &cursor);
    if (code != 0)
        return kv_fail(txn->kv, "cursor", code, why);
    MDB_val k = val_of(key), v;
    code = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (code == MDB_NOTFOUND)
        code = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    else if (code == 0 && !span_eq(span_val(k), key))
        code = mdb_cursor_get(cursor, &k, &v, MDB_PREV);
    mdb_cursor_close(cursor);
    if (code == 0) {
        *found_key = span_val(k);
        *value = span_val(v);
        *found = true;
    }
    return code == 0 || code == MDB_NOTFOUND ? OK : kv_fail(txn->kv, "look up", code, why);
}

/* A full map is for kv_write to mend, whatever `body` makes of the error. */
static enum err put_failed(struct kv_txn *txn, const char *what, int code, struct why *why)
{
    if (code != MDB_MAP_FULL)
        return kv_fail(txn->kv, what, code, why);
    txn->full = true;
    return fail(why, ERR_ENV, "%s: the map is full", txn->kv->path);
}

static enum err put(struct kv_txn *txn, unsigned table, struct span key, struct span value, unsigned flags, struct why *why)
{
    MDB_val k = val_of(key), v = val_of(value);
    int code = mdb_put(txn->txn, txn->kv->tables[table], &k, &v, flags);
    return code == 0 ? OK : put_failed(txn, "put", code, why);
}

enum err kv_put(struct kv_txn *txn, unsigned table, struct span key, struct span value, struct why *why)
{
    return put(txn, table, key, value, 0, why);
}

enum err kv_append(struct kv_txn *txn, unsigned table, struct span key, struct span value, struct why *why)
{
    return put(txn, table, key, value, MDB_APPEND, why);
}

enum err kv_delete(struct kv_txn *txn, unsigned table, struct span key, struct why *why)
{
    MDB_val k = val_of(key);
    int code = mdb_del(txn->txn, txn->kv->tables[table], &k, NULL);
    return code == 0 || code == MDB_NOTFOUND ? OK : put_failed(txn, "delete", code, why);
}

enum err kv_cursor_open(struct kv_cursor *out, struct kv_txn *txn, unsigned table, struct span from, size_t prefix_len,
                        struct why *why)
{
    assert(from.len <= sizeof out->from && prefix_len <= from.len);
    *out = (struct kv_cursor){ .txn = txn, .from_len = from.len, .prefix_len = prefix_len, .seek = true };
    memcpy(out->from, from.data, from.len);
    int code = mdb_cursor_open(txn->txn, txn->kv->tables[table], &out->cursor);
    return code == 0 ? OK : kv_fail(txn->kv, "cursor", code, why);
}

enum err kv_cursor_next(struct kv_cursor *cursor, struct span *key, struct span *value, bool *found, struct why *why)
{
    MDB_val k = val_of(span_of(cursor->from, cursor->from_len)), v;
    MDB_cursor_op op = !cursor->seek ? MDB_NEXT : cursor->from_len == 0 ? MDB_FIRST : MDB_SET_RANGE;
    cursor->seek = false;
    int code = mdb_cursor_get(cursor->cursor, &k, &v, op);
    *found = false;
    if (code == MDB_NOTFOUND)
        return OK;
    if (code != 0)
        return kv_fail(cursor->txn->kv, "step", code, why);
    if (k.mv_size < cursor->prefix_len || memcmp(k.mv_data, cursor->from, cursor->prefix_len) != 0)
        return OK;
    *key = span_val(k);
    *value = span_val(v);
    *found = true;
    return OK;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
    if (cursor->cursor != NULL)
        mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
}
