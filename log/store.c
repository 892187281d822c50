/*
 * The store's writing half. The schema of DIR/data, numbers big-endian:
 *
 *   meta     "schema" -> "2"; "origin"; "size" -> u64
 *   entry    u64 first index -> a run: entries in the form of tlog-tiles' entry bundles. A run never crosses a
 *            multiple of 256. A commit adds one run a bundle; the runs of a full bundle become one, as it is served.
 *   tile     level, u64 number -> 32 bytes a hash; the last of a level grows
 *   inputs   SHA-256 -> u64 lowest index that names it, the list
 *
 * log/store_open.c opens it, and brings what derives from it up to date.
 */
#include "log/store_internal.h"

/* One commit's work; starts anew each time kv_write runs it. */
struct job {
    struct store *store;
    struct kv_txn *txn;
    const struct store_part *parts;
    size_t n;
    uint64_t size;
    uint64_t run_first;
};

/* Appends a hash to the tail of `level` and, where that fills it, the tile's root to the level above, and so on. */
static enum err push_hash(struct job *job, struct hash hash, struct why *why)
{
    for (unsigned level = 0; level < TAIL_LEVELS; level++) {
        struct tail *tail = &job->store->tails[level];
        memcpy(tail->hashes + 32 * (size_t)tail->width++, hash.b, 32);
        tail->dirty = true;
        if (tail->width < TILE_WIDTH)
            return OK;
        uint8_t key[TILE_KEY_BYTES];
        struct span k = tile_key(key, (uint8_t)level, tail->number);
        enum err err = kv_put(job->txn, TABLE_TILE, k, span_of(tail->hashes, sizeof tail->hashes), why);
        if (err != OK)
            return err;
        hash = full_tile_root(tail->hashes);
        *tail = (struct tail){ .number = tail->number + 1 };
    }
    return fail(why, ERR_ENV, "the tree is full");
}

static enum err load_tails(struct job *job, struct why *why)
{
    for (unsigned level = 0; level < TAIL_LEVELS; level++) {
        struct tail *tail = &job->store->tails[level];
        uint64_t hashes = job->size >> (TILE_HEIGHT * level);
        *tail = (struct tail){ .number = hashes / TILE_WIDTH, .width = (unsigned)(hashes % TILE_WIDTH) };
        if (tail->width == 0)
            continue;
        uint8_t key[TILE_KEY_BYTES];
        struct span bytes;
        bool found;
        enum err err = kv_get(job->txn, TABLE_TILE, tile_key(key, (uint8_t)level, tail->number), &bytes, &found, why);
        if (err != OK)
            return err;
        if (!found || bytes.len != 32 * (size_t)tail->width)
            return store_broken(job->txn->kv, why, "the last tile of level %u is missing or has the wrong length", level);
        memcpy(tail->hashes, bytes.data, bytes.len);
    }
    return OK;
}

static enum err save_tails(struct job *job, struct why *why)
{
    enum err err = OK;
    for (unsigned level = 0; level < TAIL_LEVELS && err == OK; level++) {
        const struct tail *tail = &job->store->tails[level];
        uint8_t key[TILE_KEY_BYTES];
        if (tail->dirty)
            err = kv_put(job->txn, TABLE_TILE, tile_key(key, (uint8_t)level, tail->number),
                         span_of(tail->hashes, 32 * (size_t)tail->width), why);
    }
    return err;
}

/* Joins the runs of the bundle that begins at `first` with the current one, which completes it. */
static enum err merge_runs(struct job *job, uint64_t first, struct why *why)
{
    struct buf *merged = &job->store->merged;
    buf_clear(merged);
    uint8_t key[8];
    for (uint64_t at = first; at < job->run_first;) {
        put_be64(key, at);
        struct span run;
        bool found;
        enum err err = kv_get(job->txn, TABLE_ENTRY, span_of(key, sizeof key), &run, &found, why);
        if (err != OK)
            return err;
        uint64_t entries = found ? run_entries(run) : 0;
        if (entries == 0 || at + entries > job->run_first)
            return store_broken(job->txn->kv, why, "no whole run of entries at %llu", (unsigned long long)at);
        buf_span(merged, run);
        if (at != first && (err = kv_delete(job->txn, TABLE_ENTRY, span_of(key, sizeof key), why)) != OK)
            return err;
        at += entries;
    }
    buf_span(merged, span_buf(&job->store->run));
    return buf_done(merged, why);
}

/* Writes the current run; `full` where it ends its bundle. */
static enum err put_run(struct job *job, bool full, struct why *why)
{
    struct buf *run = &job->store->run;
    enum err err = buf_done(run, why);
    if (err != OK || run->len == 0)
        return err;
    uint8_t key[8];
    uint64_t first = job->run_first - job->run_first % TILE_WIDTH; /* of the bundle */
    if (full && first != job->run_first) {
        err = merge_runs(job, first, why);
        put_be64(key, first);
        if (err == OK)
            err = kv_put(job->txn, TABLE_ENTRY, span_of(key, sizeof key), span_buf(&job->store->merged), why);
    } else {
        put_be64(key, job->run_first);
        err = kv_append(job->txn, TABLE_ENTRY, span_of(key, sizeof key), span_buf(run), why);
    }
    buf_clear(run);
    job->run_first = job->size;
    return err;
}

static const struct store_list *list_in(const struct store_part *part, const struct hash *hash)
{
    for (size_t i = 0; i < part->lists_n; i++)
        if (hash_eq(&part->lists[i].hash, hash))
            return &part->lists[i];
    return NULL;
}

/* The list that `entry` names, from its part. What is stored already stays, but for what is damaged. */
static enum err put_list(struct job *job, const struct store_part *part, const struct store_entry *entry, struct why *why)
{
    struct span key = span_of(entry->input_list.b, 32), there;
    const struct store_list *list = list_in(part, &entry->input_list);
    bool found;
    enum err err = kv_get(job->txn, TABLE_INPUTS, key, &there, &found, why);
    if (err != OK || (list == NULL && (found || part->lists_may_lack)))
        return err;
    if (list == NULL)
        return store_broken(job->txn->kv, why, "an input list that was stored is gone");
    if (found && there.len == 8 + list->text.len && get_be64(there.data) <= entry->index &&
        memcmp(there.data + 8, list->text.data, list->text.len) == 0)
        return OK;
    struct buf value = BUF_EMPTY;
    uint8_t first[8];
    /* One that comes back to an old entry may be named by older ones: all of them are public. */
    put_be64(first, entry->known ? 0 : entry->index);
    buf_add(&value, first, sizeof first);
    buf_span(&value, list->text);
    err = buf_done(&value, why);
    if (err == OK)
        err = kv_put(job->txn, TABLE_INPUTS, key, span_buf(&value), why);
    buf_free(&value);
    return err;
}

static enum err append_entry(struct job *job, const struct store_part *part, const struct store_entry *entry, struct why *why)
{
    enum err err = OK;
    if (!entry->known) {
        bundle_add(&job->store->run, entry->bytes);
        job->size++;
        err = push_hash(job, entry->leaf, why);
        if (err == OK && job->size % TILE_WIDTH == 0)
            err = put_run(job, true, why);
    }
    if (err == OK && entry->has_input_list)
        err = put_list(job, part, entry, why);
    return err;
}

static enum err append_all(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct job *job = ctx;
    job->txn = txn;
    enum err err = read_size(txn, &job->size, why);
    if (err == OK && job->size != job->store->size)
        err = store_broken(txn->kv, why, "it has another size than the last commit gave it");
    if (err != OK)
        return err;
    job->run_first = job->size;
    buf_clear(&job->store->run);
    if ((err = load_tails(job, why)) != OK)
        return err;
    for (size_t i = 0; i < job->n; i++)
        for (size_t j = 0; j < job->parts[i].n; j++)
            if ((err = append_entry(job, &job->parts[i], &job->parts[i].entries[j], why)) != OK)
                return err;
    if (job->size == job->store->size)
        return OK;
    if ((err = put_run(job, false, why)) != OK || (err = save_tails(job, why)) != OK)
        return err;
    return put_size(txn, job->size, why);
}

/* The tile has another hash than an entry of the same first bytes: another entry, or a bit that turned in the tile, which must not
 * have the entry logged twice. */
static enum err check_other(struct store_view *view, uint64_t index, const struct hash *leaf, struct why *why)
{
    struct span entry;
    enum err err = store_view_entry(view, index, &entry, why);
    struct hash own = err == OK ? merkle_leaf_hash(entry) : *leaf;
    return err == OK && hash_eq(&own, leaf)
               ? store_broken(view->txn.kv, why, "the tile's hash of entry %llu is not the entry's", (unsigned long long)index)
               : err;
}

/* Is the entry at `index` the one with this leaf hash? It may be one of this batch, which is not stored yet. */
struct asking {
    struct store *store;
    struct store_view view; /* begun when first needed */
    bool begun;
};

static enum err has_leaf(void *ctx, uint64_t index, const struct hash *leaf, bool *is, struct why *why)
{
    struct asking *asking = ctx;
    struct store *store = asking->store;
    if (index >= store->size) {
        *is = memcmp(store->new_leaves.data + 32 * (index - store->size), leaf->b, 32) == 0;
        return OK;
    }
    enum err err = asking->begun ? OK : store_view_begin(store, &asking->view, why);
    if (err != OK)
        return err;
    asking->begun = true;
    struct tile tile = { .index = index / TILE_WIDTH, .width = (uint16_t)(index % TILE_WIDTH + 1) };
    struct span bytes;
    err = store_view_tile(&asking->view, &tile, &bytes, why);
    if (err == OK)
        *is = memcmp(bytes.data + 32 * (index % TILE_WIDTH), leaf->b, 32) == 0;
    return err == OK && !*is ? check_other(&asking->view, index, leaf, why) : err;
}

static void asking_end(struct asking *asking)
{
    if (asking->begun)
        store_view_end(&asking->view);
}

enum err store_find(struct store *store, const struct hash *leaf, bool *found, uint64_t *index, struct why *why)
{
    struct asking asking = { .store = store };
    enum err err = seen_find(store->seen, leaf, has_leaf, &asking, found, index, why);
    asking_end(&asking);
    return err;
}

/* The list that an entry names stands in its part, or is stored: looked at before anything changes. */
static enum err check_lists(struct store *store, const struct store_part *parts, size_t n, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(store, &view, why);
    if (err != OK)
        return err;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < parts[i].n && err == OK; j++) {
            const struct store_entry *entry = &parts[i].entries[j];
            struct span text;
            uint64_t first;
            bool found = !entry->has_input_list || parts[i].lists_may_lack || list_in(&parts[i], &entry->input_list) != NULL;
            if (!found)
                err = store_view_inputs(&view, &entry->input_list, &text, &first, &found, why);
            if (err == OK && !found)
                err = fail(why, ERR_REFUSED, "the input list of an entry is neither stored nor in its submission");
        }
    store_view_end(&view);
    return err;
}

/* Gives every entry its index, and collects the keys of the new ones. */
static enum err number_entries(struct store *store, const struct store_part *parts, size_t n, struct why *why)
{
    struct asking asking = { .store = store };
    enum err err = OK;
    uint64_t size = store->size;
    buf_clear(&store->new_leaves);
    buf_clear(&store->new_keys);
    for (size_t i = 0; i < n && err == OK; i++)
        for (size_t j = 0; j < parts[i].n && err == OK; j++) {
            struct store_entry *entry = &parts[i].entries[j];
            err = seen_find(store->seen, &entry->leaf, has_leaf, &asking, &entry->known, &entry->index, why);
            if (err != OK || entry->known)
                continue;
            entry->index = size++;
            buf_add(&store->new_leaves, entry->leaf.b, 32);
            store_add_keys(entry, &store->new_keys);
            err = buf_done(&store->new_leaves, why);
            if (err == OK)
                err = seen_add(store->seen, &entry->leaf, entry->index, why);
        }
    asking_end(&asking);
    return err == OK ? buf_done(&store->new_keys, why) : err;
}

enum err store_append(struct store *store, const struct store_part *parts, size_t n, uint64_t *size, struct why *why)
{
    struct job job = { .store = store, .parts = parts, .n = n };
    enum err err = check_lists(store, parts, n, why);
    if (err != OK)
        return err;
    err = number_entries(store, parts, n, why);
    if (err == OK)
        err = kv_write(store->kv, append_all, &job, why);
    if (err == OK && job.size > store->size) {
        struct hash last;
        memcpy(last.b, store->new_leaves.data + store->new_leaves.len - 32, 32);
        err =
            index_add(store->index, store->size, job.size, store->new_keys.data, store->new_keys.len / INDEX_KEY_BYTES, &last, why);
        if (err == OK)
            err = seen_settle(store->seen, why);
    }
    if (err != OK) {
        store_kill(store, why); /* the set of leaf hashes knows what may not have been stored */
        return err;
    }
    store->size = *size = job.size;
    return OK;
}
