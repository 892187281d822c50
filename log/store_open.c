/* The store's opening: its databases, and what follows from the entries. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/store_internal.h"

#define SCHEMA "2"

enum { REPLAY_ENTRIES = 4096 }; /* in one transaction */

static const uint64_t MAP_BYTES = UINT64_C(256) << 20;

enum err put_size(struct kv_txn *txn, uint64_t size, struct why *why)
{
    uint8_t value[8];
    put_be64(value, size);
    return kv_put(txn, TABLE_META, span_str("size"), span_of(value, sizeof value), why);
}

static enum err check_meta(struct kv_txn *txn, const struct store_config *config, bool *fresh, struct why *why)
{
    struct span schema, origin;
    bool found;
    enum err err = kv_get(txn, TABLE_META, span_str("schema"), &schema, &found, why);
    *fresh = err == OK && !found;
    if (err != OK || !found)
        return err;
    if (!span_is(schema, SCHEMA))
        return fail(why, ERR_REFUSED, "the data has schema %.*s, this program knows " SCHEMA, SPAN_FMT(schema));
    err = kv_get(txn, TABLE_META, span_str("origin"), &origin, &found, why);
    if (err == OK && (!found || !span_eq(origin, config->origin)))
        err = fail(why, ERR_REFUSED, "the data belongs to another origin than %.*s", SPAN_FMT(config->origin));
    return err;
}

static enum err make_meta(void *ctx, struct kv_txn *txn, struct why *why)
{
    const struct store_config *config = ctx;
    bool fresh;
    enum err err = check_meta(txn, config, &fresh, why);
    if (err != OK || !fresh)
        return err;
    err = kv_put(txn, TABLE_META, span_str("schema"), span_str(SCHEMA), why);
    if (err == OK)
        err = kv_put(txn, TABLE_META, span_str("origin"), config->origin, why);
    return err != OK ? err : put_size(txn, 0, why);
}

static enum err read_meta(struct store *store, const struct store_config *config, struct why *why)
{
    struct kv_txn txn;
    uint64_t size = 0;
    bool fresh;
    enum err err = kv_read(store->kv, &txn, why);
    if (err != OK)
        return err;
    err = check_meta(&txn, config, &fresh, why);
    if (err == OK && fresh)
        err = fail(why, ERR_ENV, "there is no data of a log");
    if (err == OK)
        err = read_size(&txn, &size, why);
    kv_read_end(&txn);
    store->size = size;
    return err;
}

/* Is DIR/NAME whole? `way_out` says what to do where it is not. */
static enum err check_file(const char *dir, const char *name, enum kv_values values, const char *way_out, struct why *why)
{
    struct why reason;
    char *path = path_join(dir, name);
    enum err err = path == NULL ? fail(&reason, ERR_ENV, "out of memory") : kv_check(path, values, &reason);
    free(path);
    if (err == ERR_MALFORMED)
        return fail(why, ERR_REFUSED, "%s. %s", reason.text, way_out);
    return err == OK ? OK : fail(why, err, "%s", reason.text);
}

enum err store_check_files(const char *dir, bool all_read, struct why *why)
{
    struct buf way_out = BUF_EMPTY;
    buf_fmt(&way_out,
            "Move it aside and take the entries from a mirror or another copy of this log with `stele-log recover %s --from URL`; "
            "never remove heads",
            dir);
    buf_byte(&way_out, '\0');
    enum err err = buf_done(&way_out, why);
    if (err == OK)
        err = check_file(dir, "data", all_read ? KV_VALUES_LATER : KV_VALUES_LARGE, (const char *)way_out.data, why);
    buf_free(&way_out);
    if (err == OK)
        err = check_file(dir, "index", KV_VALUES_SMALL, "The indices follow from the entries: remove DIR/index, and start", why);
    return err;
}

static enum err open_data(struct store *store, const struct store_config *config, const char *path, struct why *why)
{
    struct kv_config kv_config = { .path = path,
                                   .tables = store_tables,
                                   .tables_n = TABLES_N,
                                   .map_bytes = MAP_BYTES,
                                   .readers_max = STORE_READERS_MAX,
                                   .read_only = config->reading };
    enum err err = config->reading ? OK : dir_make(path, 0700, why);
    if (err == OK && !config->reading)
        err = dir_sync(config->dir, why);
    if (err == OK)
        err = kv_open(&store->kv, &kv_config, why);
    if (err == OK && !config->reading)
        err = kv_write(store->kv, make_meta, &(struct store_config){ .origin = config->origin }, why);
    return err == OK ? read_meta(store, config, why) : err;
}

static void index_failed(void *store, const struct why *why)
{
    store_kill(store, why);
}

static enum err open_index(struct store *store, const struct store_config *config, const char *path, struct why *why)
{
    struct stat st;
    if (config->reading && stat(path, &st) != 0 && errno == ENOENT)
        return OK; /* a copy without indices, which follow from the entries */
    enum err err = config->reading ? OK : dir_make(path, 0700, why);
    if (err == OK)
        err = index_open(
            &store->index,
            &(struct index_config){
                .path = path, .origin = config->origin, .reading = config->reading, .failed = index_failed, .ctx = store },
            why);
    return err;
}

/* The hashes of the level-0 tile that holds entry `index`, up to `size`. */
static enum err leaf_tile(struct store_view *view, uint64_t index, uint64_t size, struct span *bytes, struct why *why)
{
    struct tile tile = { .index = index / TILE_WIDTH, .width = (uint16_t)tile_width(0, index / TILE_WIDTH, size) };
    return store_view_tile(view, &tile, bytes, why);
}

static enum err leaf_of(void *ctx, uint64_t index, struct hash *leaf, struct why *why)
{
    struct store *store = ctx;
    struct store_view view;
    struct span bytes;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    err = leaf_tile(&view, index, store->size, &bytes, why);
    if (err == OK)
        memcpy(leaf->b, bytes.data + 32 * (index % TILE_WIDTH), 32);
    store_view_end(&view);
    return err;
}

/* Adds what of the tile that holds entry `index` is not there yet. */
static enum err fill_tile(struct store *store, uint64_t *index, struct why *why)
{
    struct store_view view;
    struct span bytes;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    err = leaf_tile(&view, *index, store->size, &bytes, why);
    uint64_t end = (*index / TILE_WIDTH + 1) * TILE_WIDTH;
    for (; err == OK && *index < end && *index < store->size; ++*index) {
        struct hash leaf;
        memcpy(leaf.b, bytes.data + 32 * (*index % TILE_WIDTH), 32);
        err = seen_add(store->seen, &leaf, *index, why);
    }
    store_view_end(&view);
    return err;
}

static enum err open_seen(struct store *store, const struct store_config *config, const char *path, struct why *why)
{
    struct seen_config seen_config = {
        .dir = path, .size = store->size, .leaf = leaf_of, .ctx = store, .reading = config->reading
    };
    struct stat st;
    if (config->reading && stat(path, &st) != 0 && errno == ENOENT)
        return OK;
    enum err err = config->reading ? OK : dir_make(path, 0700, why);
    if (err == OK)
        err = seen_open(&store->seen, &seen_config, why);
    if (err != OK || config->reading)
        return err;
    uint64_t index = seen_covered(store->seen);
    if (store->size - index > SEEN_WRITE_ENTRIES)
        report(REPORT_INFO, "leaf-hashes", "from=%llu to=%llu", (unsigned long long)index, (unsigned long long)store->size);
    while (err == OK && index < store->size) {
        err = fill_tile(store, &index, why);
        if (err == OK)
            err = seen_settle(store->seen, why);
    }
    return err;
}

/* Do the stored indices belong to these entries? They may be of another copy of the data. */
static enum err index_fits(struct store *store, uint64_t covered, const struct hash *last, bool *fits, struct why *why)
{
    struct store_view view;
    struct span bytes;
    *fits = covered == 0;
    if (covered == 0 || covered > store->size)
        return OK;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    err = leaf_tile(&view, covered - 1, store->size, &bytes, why);
    if (err == OK)
        *fits = memcmp(bytes.data + 32 * ((covered - 1) % TILE_WIDTH), last->b, 32) == 0;
    store_view_end(&view);
    return err;
}

/* Indexes entries from `from` on, at most REPLAY_ENTRIES. */
static enum err replay_some(struct store *store, const struct store_config *config, uint64_t from, uint64_t *to, struct why *why)
{
    struct store_view view;
    struct store_walk walk;
    struct hash last = { { 0 } };
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    buf_clear(&store->new_keys);
    store_walk_start(&walk, &view, from);
    *to = store->size - from < REPLAY_ENTRIES ? store->size : from + REPLAY_ENTRIES;
    for (uint64_t index = from; index < *to && err == OK; index++) {
        struct store_entry entry;
        struct span bytes;
        if ((err = store_walk_next(&walk, &bytes, why)) != OK)
            break;
        struct why reason;
        if (config->describe(&entry, bytes, &reason) != OK) {
            err = store_broken(store->kv, why, "entry %llu is no attestation: %s", (unsigned long long)index, reason.text);
            break;
        }
        entry.index = index;
        store_add_keys(&entry, &store->new_keys);
        last = entry.leaf;
        config->undescribe(&entry);
    }
    store_view_end(&view);
    if (err == OK)
        err = buf_done(&store->new_keys, why);
    if (err == OK)
        err = index_add(store->index, from, *to, store->new_keys.data, store->new_keys.len / INDEX_KEY_BYTES, &last, why);
    return err;
}

static enum err replay(struct store *store, const struct store_config *config, struct why *why)
{
    uint64_t covered;
    struct hash last;
    bool fits;
    enum err err = index_covered(store->index, &covered, &last, why);
    if (err == OK)
        err = index_fits(store, covered, &last, &fits, why);
    if (err == OK && !fits) {
        report(REPORT_WARN, "indices-of-other-data", "covered=%llu size=%llu", (unsigned long long)covered,
               (unsigned long long)store->size);
        err = index_clear(store->index, why);
        covered = 0;
    }
    if (err == OK && covered < store->size)
        report(REPORT_INFO, "indexing", "from=%llu to=%llu", (unsigned long long)covered, (unsigned long long)store->size);
    while (err == OK && covered < store->size)
        err = replay_some(store, config, covered, &covered, why);
    return err;
}

enum err store_open(struct store **out, const struct store_config *config, struct why *why)
{
    *out = NULL;
    char *data = path_join(config->dir, "data"), *index = path_join(config->dir, "index"), *seen = path_join(config->dir, "seen");
    struct store *store = calloc(1, sizeof *store);
    enum err err = data == NULL || index == NULL || seen == NULL || store == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && !config->reading)
        err = store_check_files(config->dir, false, why);
    if (err == OK)
        err = open_data(store, config, data, why);
    if (err == OK)
        err = open_index(store, config, index, why);
    if (err == OK)
        err = open_seen(store, config, seen, why);
    if (err == OK && !config->reading)
        err = replay(store, config, why);
    if (err == OK)
        *out = store;
    else
        store_close(store);
    free(data);
    free(index);
    free(seen);
    return err;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    index_close(store->index);
    kv_close(store->kv);
    seen_close(store->seen);
    buf_free(&store->run);
    buf_free(&store->merged);
    buf_free(&store->new_leaves);
    buf_free(&store->new_keys);
    free(store);
}

enum err store_copy(struct store *store, const char *out, struct why *why)
{
    char *path = path_join(out, "data");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(path, 0700, why);
    if (err == OK)
        err = kv_copy(store->kv, path, why);
    free(path);
    return err;
}

uint64_t store_size(struct store *store)
{
    return store->size;
}

void store_metrics(struct store *store, struct store_metrics *out)
{
    struct index_metrics index;
    index_metrics(store->index, &index);
    *out = (struct store_metrics){ .data_bytes = kv_used_bytes(store->kv),
                                   .index_bytes = index.used_bytes,
                                   .seen_bytes = store->seen == NULL ? 0 : seen_bytes(store->seen),
                                   .index_lag_entries = index.entries_in_memory };
}

bool store_dead(struct store *store, struct why *why)
{
    return kv_dead(store->kv, why);
}

void store_kill(struct store *store, const struct why *why)
{
    kv_kill(store->kv, why);
}
