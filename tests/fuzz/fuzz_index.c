/*
 * The log's indices as they lie on the disk: pairs of key and value, fields of lib/wire.h, the key "manifest" for the manifest and
 * all others for blocks. Whatever they are, looking up and merging ends. Where all is as it was written, what is stored is found, and
 * a merge changes nothing that anybody sees.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/wire.h"
#include "log/index_internal.h"
#include "tests/fuzz/still.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FOUND_MAX = 64 };

static struct index index_of = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void open_kv(void)
{
    const struct kv_config config = {
        .path = still_folder(), .tables = index_tables, .tables_n = INDEX_TABLES_N, .map_bytes = 16 << 20, .readers_max = 4
    };
    struct why why;
    must(kv_open(&index_of.kv, &config, &why), &why);
}

static enum err drop_table(struct kv_txn *txn, unsigned table, struct why *why)
{
    enum err err = OK;
    bool found = true;
    while (err == OK && found) {
        uint8_t copy[KV_KEY_BYTES_MAX];
        struct kv_cursor cursor;
        struct span key, value;
        found = false;
        err = kv_cursor_open(&cursor, txn, table, span_of("", 0), 0, why);
        if (err == OK)
            err = kv_cursor_next(&cursor, &key, &value, &found, why);
        if (err == OK && found)
            key = span_of(memcpy(copy, key.data, key.len), key.len);
        kv_cursor_close(&cursor);
        if (err == OK && found)
            err = kv_delete(txn, table, key, why);
    }
    return err;
}

/* The pairs of the input, and nothing else. */
static enum err put_all(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct span rest = *(struct span *)ctx, key, value;
    enum err err = drop_table(txn, INDEX_META, why);
    if (err == OK)
        err = drop_table(txn, INDEX_RUN, why);
    while (err == OK && wire_take(&rest, &key) && wire_take(&rest, &value))
        if (key.len > 0 && key.len <= KV_KEY_BYTES_MAX)
            err = kv_put(txn, span_is(key, "manifest") ? INDEX_META : INDEX_RUN, key, value, why);
    return err;
}

/* Each key of the run blocks: where the whole is in order it is there, and found by its name. */
static void look_up(struct index_view *view, struct span input, bool right)
{
    struct span key, value;
    struct why why;
    while (wire_take(&input, &key) && wire_take(&input, &value))
        for (size_t at = 0; value.len >= INDEX_KEY_BYTES && at <= value.len - INDEX_KEY_BYTES; at += INDEX_KEY_BYTES) {
            uint64_t found[FOUND_MAX];
            uint8_t first[INDEX_KEY_BYTES];
            size_t n = 0;
            bool is = false;
            enum err err = index_view_find(view, value.data + at, UINT64_MAX, found, FOUND_MAX, &n, &why);
            assert(n <= FOUND_MAX && (err == OK || !right));
            err = index_view_has(view, value.data + at, &is, &why);
            assert(err == OK || !right);
            err = index_view_first(view, value.data + at, 1, first, &is, &why);
            assert(err == OK || !right);
            assert(err != OK || !is || memcmp(first, value.data + at, INDEX_KEY_BYTES) >= 0);
        }
}

/* *keys, where the whole is in order. */
static bool check(struct span input, uint64_t *keys)
{
    struct index_view *view;
    struct why why;
    if (index_view_begin(&index_of, &view, &why) != OK)
        return false;
    bool right = index_view_check(view, keys, &why) == OK;
    look_up(view, input, right);
    index_view_end(view);
    return right;
}

/* All merges that are due. */
static bool merge_all(struct why *why)
{
    struct index_merge merge = { .n = 0 };
    struct index_manifest manifest;
    for (;;) {
        struct kv_txn txn;
        uint64_t id;
        must(kv_read(index_of.kv, &txn, why), why);
        enum err err = manifest_read(&txn, &manifest, why);
        if (err == OK)
            err = runs_next_id(&txn, &id, why);
        kv_read_end(&txn);
        if (err != OK)
            return false;
        if (!merge_begin(&merge, &manifest, id))
            return true;
        err = merge_step(index_of.kv, &merge, why);
        assert(err != OK || merge.n == 0); /* no input has more than one transaction's worth */
        if (err != OK)
            return false;
    }
}

/* One run more, without keys; a manifest that is full takes none. */
static enum err add_run(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct index_manifest manifest;
    struct index_run run = { 0 };
    (void)ctx;
    enum err err = manifest_read(txn, &manifest, why);
    bool full = manifest.n == INDEX_RUNS_MAX;
    if (err == OK)
        err = runs_next_id(txn, &run.id, why);
    run.from = manifest.covered;
    run.to = run.from + 1;
    if (err == OK)
        err = manifest_add(txn, &manifest, &run, &manifest.last, why);
    assert(err != OK || !full);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    uint64_t before = 0, after = 0;
    struct why why;
    bool more = true;
    if (index_of.kv == NULL)
        open_kv();
    must(kv_write(index_of.kv, put_all, &input, &why), &why);
    enum err err = OK;
    while (err == OK && more)
        err = runs_collect(index_of.kv, 0, &more, &why);
    bool right = err == OK && check(input, &before);
    if (err == OK) {
        bool merged = merge_all(&why);
        assert(merged || !right);
        if (right)
            assert(check(input, &after) && after == before);
        if (merged)
            err = kv_write(index_of.kv, add_run, NULL, &why);
    }
    if (kv_dead(index_of.kv, &why)) {
        kv_close(index_of.kv);
        open_kv();
    }
    return 0;
}
