/* lib/sys/kv.h without LMDB: a sorted array a table, copied when it is written. It keeps what the power-cut tests found LMDB to
 * keep: a commit is whole or not there; one that was written and not yet synced is seen by the next process, and lost by a power
 * cut, unless that process synced it first, as kv_open does. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/kv.h"
#include "tests/sim/sim.h"

struct pair {
    struct span key, value; /* never freed: a run is short */
};

struct table {
    unsigned users; /* versions that share it */
    size_t n, room;
    struct pair *pairs;
};

struct version {
    unsigned users;
    struct table *tables[KV_TABLES_MAX];
};

/* A data file. */
struct store {
    char *path;
    struct version *durable, *cached;
    struct store *next;
};

struct kv {
    struct store *store;
    struct version *shown;
    struct sim_lock lock;
    bool read_only, dead;
    struct why why_dead;
};

/* A transaction. */
struct MDB_txn {
    struct version *version;
    bool writes;
};

struct MDB_cursor {
    struct span last;
    unsigned table;
    bool ended;
};

static struct store *stores;

static void *need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static struct span keep(struct span bytes)
{
    uint8_t *copy = need(malloc(bytes.len + 1));
    memcpy(copy, bytes.data, bytes.len);
    return span_of(copy, bytes.len);
}

static struct version *hold(struct version *version)
{
    version->users++;
    return version;
}

static void drop(struct version *version)
{
    if (version == NULL || --version->users > 0)
        return;
    for (size_t i = 0; i < KV_TABLES_MAX; i++)
        if (version->tables[i] != NULL && --version->tables[i]->users == 0) {
            free(version->tables[i]->pairs);
            free(version->tables[i]);
        }
    free(version);
}

static struct version *next_of(const struct version *before)
{
    struct version *version = need(calloc(1, sizeof *version));
    version->users = 1;
    for (size_t i = 0; before != NULL && i < KV_TABLES_MAX; i++)
        if ((version->tables[i] = before->tables[i]) != NULL)
            version->tables[i]->users++;
    return version;
}

static const struct table *table_of(const struct version *version, unsigned number)
{
    static const struct table empty;
    return version->tables[number] == NULL ? &empty : version->tables[number];
}

/* The version's own copy, to be written. */
static struct table *own_table(struct version *version, unsigned number)
{
    struct table *shared = version->tables[number];
    if (shared != NULL && shared->users == 1)
        return shared;
    struct table *own = need(calloc(1, sizeof *own));
    own->users = 1;
    if (shared != NULL) {
        own->n = shared->n;
        own->room = shared->n + 64;
        own->pairs = need(malloc(own->room * sizeof *own->pairs));
        memcpy(own->pairs, shared->pairs, shared->n * sizeof *own->pairs);
        shared->users--;
    }
    return version->tables[number] = own;
}

/* The first place whose key is not below. */
static size_t place(const struct table *table, struct span key)
{
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (span_cmp(table->pairs[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct table *table, size_t at, struct span key)
{
    return at < table->n && span_eq(table->pairs[at].key, key);
}

static struct store *find_store(const char *path)
{
    struct store *store = stores;
    while (store != NULL && strcmp(store->path, path) != 0)
        store = store->next;
    return store;
}

static bool is_under(const struct store *store, const char *root)
{
    return strncmp(store->path, root, strlen(root)) == 0 && store->path[strlen(root)] == '/';
}

void kv_model_power_cut(const char *root)
{
    for (struct store *store = stores; store != NULL; store = store->next)
        if (is_under(store, root) && store->cached != store->durable) {
            bool there = sim_below(2) == 0; /* written, and nobody waited for it */
            struct version *left = hold(there ? store->cached : store->durable);
            drop(store->cached);
            drop(store->durable);
            store->cached = left;
            store->durable = hold(left);
        }
}

bool kv_model_flip(const char *root, struct kv_flip *out)
{
    uint64_t n = 0;
    *out = (struct kv_flip){ .at = NULL };
    for (const struct store *store = stores; store != NULL; store = store->next)
        for (unsigned table = 0; table < KV_TABLES_MAX && is_under(store, root); table++) {
            const struct table *own = table_of(store->cached, table);
            for (size_t i = 0; i < own->n; i++)
                if (own->pairs[i].value.len > 0 && sim_below(++n) == 0)
                    *out = (struct kv_flip){ (uint8_t *)(uintptr_t)own->pairs[i].value.data + sim_below(own->pairs[i].value.len),
                                             (uint8_t)(1u << sim_below(8)), store->path, table };
        }
    if (out->at != NULL)
        *out->at ^= out->bit;
    return out->at != NULL;
}

void kv_model_flip_back(const struct kv_flip *flip)
{
    *flip->at ^= flip->bit;
}

void kv_model_remove(const char *path)
{
    for (struct store **at = &stores; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->path, path) == 0) {
            *at = (*at)->next;
            return;
        }
}

enum err kv_check(const char *path, enum kv_values values, struct why *why)
{
    (void)path;
    (void)values;
    (void)why;
    return OK;
}

enum err kv_open(struct kv **out, const struct kv_config *config, struct why *why)
{
    struct store *store = find_store(config->path);
    *out = NULL;
    sim_yield();
    if (sim_chance(sim_faults.io_error))
        return fail(why, ERR_ENV, "%s: open: Input/output error", config->path);
    if (store == NULL) {
        store = need(calloc(1, sizeof *store));
        *store = (struct store){ .path = span_dup_str(span_str(config->path)), .durable = next_of(NULL), .next = stores };
        store->cached = hold(store->durable);
        stores = store;
    }
    disk_touch(config->path, "data.mdb");
    drop(store->durable);
    store->durable = hold(store->cached);
    struct kv *kv = need(calloc(1, sizeof *kv));
    *kv = (struct kv){ .store = store, .shown = hold(store->durable), .read_only = config->read_only };
    *out = kv;
    return OK;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL)
        return;
    drop(kv->shown);
    free(kv);
}

void kv_kill(struct kv *kv, const struct why *why)
{
    if (!kv->dead)
        kv->why_dead = *why;
    kv->dead = true;
}

bool kv_dead(struct kv *kv, struct why *why)
{
    if (kv->dead && why != NULL)
        *why = kv->why_dead;
    return kv->dead;
}

uint64_t kv_used_bytes(struct kv *kv)
{
    (void)kv;
    return 1 << 20;
}

enum err kv_copy(struct kv *kv, const char *path, struct why *why)
{
    (void)kv;
    return fail(why, ERR_ENV, "%s: a copy of a store is not simulated", path);
}

enum err kv_read(struct kv *kv, struct kv_txn *txn, struct why *why)
{
    (void)why;
    *txn = (struct kv_txn){ .kv = kv, .txn = need(calloc(1, sizeof *txn->txn)) };
    txn->txn->version = hold(kv->shown);
    sim_yield();
    return OK;
}

void kv_read_end(struct kv_txn *txn)
{
    if (txn->txn == NULL)
        return;
    drop(txn->txn->version);
    free(txn->txn);
    txn->txn = NULL;
}

static enum err storage_error(struct kv *kv, struct why *why)
{
    fail(why, ERR_ENV, "%s: commit: Input/output error", kv->store->path);
    kv_kill(kv, why);
    sim_say("%s: a commit fails", kv->store->path);
    return ERR_ENV;
}

/* Written, then synced; others run in between, and the process may end there. */
static enum err commit(struct kv *kv, struct version *version, struct why *why)
{
    struct store *store = kv->store;
    sim_yield();
    bool fails = sim_chance(sim_faults.io_error);
    if (fails && sim_below(2) == 0)
        return storage_error(kv, why); /* before its last page was written */
    drop(store->cached);
    store->cached = hold(version);
    sim_sleep_us(sim_below(2000));
    if (fails)
        return storage_error(kv, why);
    if (!sim_faults.commits_lie) {
        drop(store->durable);
        store->durable = hold(version);
    }
    drop(kv->shown);
    kv->shown = hold(version);
    return OK;
}

enum err kv_write(struct kv *kv, enum err (*body)(void *ctx, struct kv_txn *txn, struct why *why), void *ctx, struct why *why)
{
    sim_lock(&kv->lock);
    enum err err = OK;
    if (kv->read_only)
        err = fail(why, ERR_ENV, "%s was opened to be read", kv->store->path);
    else if (kv_dead(kv, why))
        err = fail_in(why, ERR_ENV, "no write after a storage error");
    struct MDB_txn own = { next_of(kv->shown), true };
    struct kv_txn txn = { .kv = kv, .txn = &own };
    if (err == OK)
        err = body(ctx, &txn, why);
    if (err == OK)
        err = commit(kv, own.version, why);
    drop(own.version);
    sim_unlock(&kv->lock);
    return err;
}

enum err kv_get(struct kv_txn *txn, unsigned table, struct span key, struct span *value, bool *found, struct why *why)
{
    const struct table *own = table_of(txn->txn->version, table);
    size_t at = place(own, key);
    (void)why;
    *found = is_at(own, at, key);
    if (*found)
        *value = own->pairs[at].value;
    return OK;
}

enum err kv_load(struct kv_txn *txn, struct span *value, struct kv_room *room, struct why *why)
{
    (void)txn;
    (void)value;
    (void)room;
    (void)why;
    return OK;
}

void kv_room_free(struct kv_room *room)
{
    (void)room;
}

enum err kv_count(struct kv_txn *txn, unsigned table, uint64_t *count, struct why *why)
{
    (void)why;
    *count = table_of(txn->txn->version, table)->n;
    return OK;
}

enum err kv_floor(struct kv_txn *txn, unsigned table, struct span key, struct span *found_key, struct span *value, bool *found,
                  struct why *why)
{
    const struct table *own = table_of(txn->txn->version, table);
    size_t at = place(own, key);
    (void)why;
    *found = is_at(own, at, key) || at > 0;
    if (*found) {
        const struct pair *pair = &own->pairs[is_at(own, at, key) ? at : at - 1];
        *found_key = pair->key;
        *value = pair->value;
    }
    return OK;
}

enum err kv_put(struct kv_txn *txn, unsigned number, struct span key, struct span value, struct why *why)
{
    struct table *table = own_table(txn->txn->version, number);
    size_t at = place(table, key);
    (void)why;
    if (is_at(table, at, key)) {
        table->pairs[at].value = keep(value);
        return OK;
    }
    if (table->n == table->room) {
        table->room = 2 * table->room + 64;
        table->pairs = need(realloc(table->pairs, table->room * sizeof *table->pairs));
    }
    memmove(&table->pairs[at + 1], &table->pairs[at], (table->n - at) * sizeof *table->pairs);
    table->pairs[at] = (struct pair){ keep(key), keep(value) };
    table->n++;
    return OK;
}

enum err kv_append(struct kv_txn *txn, unsigned number, struct span key, struct span value, struct why *why)
{
    const struct table *table = table_of(txn->txn->version, number);
    if (table->n > 0 && span_cmp(table->pairs[table->n - 1].key, key) >= 0) {
        fail(why, ERR_ENV, "%s: a key that does not follow", txn->kv->store->path);
        kv_kill(txn->kv, why);
        return ERR_ENV;
    }
    return kv_put(txn, number, key, value, why);
}

enum err kv_delete(struct kv_txn *txn, unsigned number, struct span key, struct why *why)
{
    struct table *table = own_table(txn->txn->version, number);
    size_t at = place(table, key);
    (void)why;
    if (is_at(table, at, key))
        memmove(&table->pairs[at], &table->pairs[at + 1], (--table->n - at) * sizeof *table->pairs);
    return OK;
}

enum err kv_cursor_open(struct kv_cursor *out, struct kv_txn *txn, unsigned table, struct span from, size_t prefix_len,
                        struct why *why)
{
    (void)why;
    *out = (struct kv_cursor){ .txn = txn, .prefix_len = prefix_len, .cursor = need(calloc(1, sizeof *out->cursor)) };
    out->cursor->table = table;
    memcpy(out->from, from.data, from.len);
    out->from_len = from.len;
    out->seek = true;
    return OK;
}

enum err kv_cursor_next(struct kv_cursor *cursor, struct span *key, struct span *value, bool *found, struct why *why)
{
    const struct table *table = table_of(cursor->txn->txn->version, cursor->cursor->table);
    size_t at = place(table, cursor->seek ? span_of(cursor->from, cursor->from_len) : cursor->cursor->last);
    (void)why;
    if (!cursor->seek && is_at(table, at, cursor->cursor->last))
        at++;
    cursor->seek = false;
    *found = at < table->n && table->pairs[at].key.len >= cursor->prefix_len &&
             memcmp(table->pairs[at].key.data, cursor->from, cursor->prefix_len) == 0;
    if (at < table->n)
        cursor->cursor->last = table->pairs[at].key;
    if (*found) {
        *key = table->pairs[at].key;
        *value = table->pairs[at].value;
    }
    return OK;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
    free(cursor->cursor);
    cursor->cursor = NULL;
}
