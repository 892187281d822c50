/* The index's memory, its thread, and its opening. log/index_view.c looks things up. */
#include <stdlib.h>

#include "lib/sys/report.h"
#include "log/index_internal.h"
#include "log/limits.h"

#define SCHEMA "1"

static const uint64_t MAP_BYTES = UINT64_C(64) << 20;

static void put_key(uint8_t out[INDEX_KEY_BYTES], enum index_kind kind, const uint8_t *name, size_t name_len, uint64_t index)
{
    memset(out, 0, INDEX_KEY_BYTES);
    out[0] = (uint8_t)kind;
    memcpy(out + 1, name, name_len);
    put_be64(out + INDEX_NAME_BYTES, index);
}

void index_path_key(uint8_t out[INDEX_KEY_BYTES], enum index_kind kind, const uint8_t hash_part[HASH_PART_BYTES],
                    const uint8_t builder[INDEX_BUILDER_BYTES], uint64_t index)
{
    put_key(out, kind, hash_part, HASH_PART_BYTES, index);
    memcpy(out + 1 + HASH_PART_BYTES, builder, INDEX_BUILDER_BYTES);
}

void index_builder_key(uint8_t out[INDEX_KEY_BYTES], const struct hash *builder, uint64_t index)
{
    put_key(out, INDEX_BUILDER, builder->b, sizeof builder->b, index);
}

static enum err check_meta(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct span *wanted = ctx, schema, origin;
    bool found;
    enum err err = kv_get(txn, INDEX_META, span_str("schema"), &schema, &found, why);
    if (err != OK)
        return err;
    if (!found) {
        err = kv_put(txn, INDEX_META, span_str("schema"), span_str(SCHEMA), why);
        return err != OK ? err : kv_put(txn, INDEX_META, span_str("origin"), *wanted, why);
    }
    if (!span_is(schema, SCHEMA))
        return fail(why, ERR_REFUSED, "the indices have schema %.*s, this program knows " SCHEMA, SPAN_FMT(schema));
    err = kv_get(txn, INDEX_META, span_str("origin"), &origin, &found, why);
    if (err == OK && (!found || !span_eq(origin, *wanted)))
        err = fail(why, ERR_REFUSED, "the indices belong to another origin than %.*s", SPAN_FMT(*wanted));
    return err;
}

/* The runs that an earlier process left half-written, or did not come to remove. */
static enum err start_stored(struct index *index, struct why *why)
{
    bool more = true;
    enum err err = OK;
    while (err == OK && more)
        err = runs_collect(index->kv, 0, &more, why);
    struct kv_txn txn;
    if (err == OK)
        err = kv_read(index->kv, &txn, why);
    if (err != OK)
        return err;
    err = runs_next_id(&txn, &index->next_id, why);
    kv_read_end(&txn);
    return err;
}

static enum err stored_manifest(struct index *index, struct index_manifest *out, struct why *why)
{
    struct kv_txn txn;
    enum err err = kv_read(index->kv, &txn, why);
    if (err != OK)
        return err;
    err = manifest_read(&txn, out, why);
    kv_read_end(&txn);
    return err;
}

enum err index_covered(struct index *index, uint64_t *size, struct hash *last, struct why *why)
{
    struct index_manifest manifest;
    enum err err = stored_manifest(index, &manifest, why);
    if (err != OK)
        return err;
    *size = manifest.covered;
    *last = manifest.last;
    return OK;
}

static enum err drop_all(void *ctx, struct kv_txn *txn, struct why *why)
{
    (void)ctx;
    return manifest_write(txn, &(struct index_manifest){ 0 }, why);
}

enum err index_clear(struct index *index, struct why *why)
{
    enum err err = kv_write(index->kv, drop_all, NULL, why);
    if (err == OK)
        err = start_stored(index, why);
    pthread_mutex_lock(&index->lock);
    index->stored = index->next = 0;
    pthread_mutex_unlock(&index->lock);
    return err;
}

/* What a flush writes, and the iterators over it. */
struct flush {
    struct memory_run *runs[MEMORY_RUNS_MAX];
    struct run_iter iters[MEMORY_RUNS_MAX];
    size_t n;
    uint64_t id;
    struct run_writer writer;
};

static enum err write_run(void *ctx, struct kv_txn *txn, struct why *why)
{
    struct flush *flush = ctx;
    struct index_manifest manifest;
    struct run_iter *least;
    enum err err = manifest_read(txn, &manifest, why);
    flush->writer.txn = txn;
    flush->writer.id = flush->id;
    flush->writer.keys = flush->writer.in_block = 0;
    for (size_t i = 0; i < flush->n; i++)
        flush->iters[i] =
            (struct run_iter){ .at = flush->runs[i]->keys, .end = flush->runs[i]->keys + flush->runs[i]->n * INDEX_KEY_BYTES };
    while (err == OK && (least = run_least(flush->iters, flush->n)) != NULL) {
        err = run_add(&flush->writer, least->at, why);
        if (err == OK)
            err = run_next(least, why);
    }
    if (err == OK)
        err = run_end(&flush->writer, why);
    if (err != OK)
        return err;
    const struct memory_run *last = flush->runs[flush->n - 1];
    const struct index_run run = { .id = flush->id, .from = flush->runs[0]->from, .to = last->to, .keys = flush->writer.keys };
    return manifest_add(txn, &manifest, &run, &last->last, why);
}

/* Writes out what is in memory now; it stays there until it is stored. */
static enum err flush_memory(struct index *index, struct why *why)
{
    struct flush *flush = malloc(sizeof *flush);
    if (flush == NULL)
        return fail(why, ERR_ENV, "out of memory");
    flush->id = index->next_id++;
    pthread_mutex_lock(&index->lock);
    flush->n = index->pinned = index->memory_n;
    memcpy(flush->runs, index->memory, flush->n * sizeof flush->runs[0]);
    pthread_mutex_unlock(&index->lock);
    enum err err = flush->n == 0 ? OK : kv_write(index->kv, write_run, flush, why);
    pthread_mutex_lock(&index->lock);
    if (err == OK) {
        index->memory_n -= flush->n;
        memmove(index->memory, index->memory + flush->n, index->memory_n * sizeof index->memory[0]);
        if (flush->n > 0)
            index->stored = flush->runs[flush->n - 1]->to;
    }
    index->pinned = 0;
    pthread_cond_broadcast(&index->changed);
    pthread_mutex_unlock(&index->lock);
    for (size_t i = 0; i < flush->n && err == OK; i++)
        memory_run_release(flush->runs[i]);
    free(flush);
    return err;
}

/* Begins a merge where one is due, and says so in *due, which was false. */
static enum err begin_merge(struct index *index, bool *due, struct why *why)
{
    struct index_manifest manifest;
    enum err err = stored_manifest(index, &manifest, why);
    if (err != OK)
        return err;
    *due = merge_begin(&index->merge, &manifest, index->next_id);
    index->next_id += *due;
    index->crowded = manifest.n > INDEX_RUNS_MAX / 2;
    return OK;
}

static enum err merge_some(struct index *index, struct why *why)
{
    enum err err = merge_step(index->kv, &index->merge, why);
    bool more = index->merge.n == 0;
    while (err == OK && more)
        err = runs_collect(index->kv, 0, &more, why);
    return err;
}

/* Flushes come before merges, so that memory stays small while a large merge goes on; unless there are too many runs. */
static enum err one_step(struct index *index, bool flush, struct why *why)
{
    bool due = index->merge.n > 0;
    enum err err = due ? OK : begin_merge(index, &due, why);
    if (err == OK && flush && !(index->crowded && due))
        return flush_memory(index, why);
    return err == OK && due ? merge_some(index, why) : err;
}

static bool flush_due(const struct index *index)
{
    return index->memory_n > 0 && index->next - index->memory[0]->from >= INDEX_FLUSH_ENTRIES;
}

static void *index_run(void *ctx)
{
    struct index *index = ctx;
    struct why why;
    enum err err = OK;
    pthread_mutex_lock(&index->lock);
    while (err == OK && !index->stopping) {
        bool flush = flush_due(index);
        if (!flush && index->merge.n == 0 && !index->look_for_merge) {
            pthread_cond_wait(&index->due, &index->lock);
            continue;
        }
        pthread_mutex_unlock(&index->lock);
        err = one_step(index, flush, &why);
        pthread_mutex_lock(&index->lock);
        index->look_for_merge = flush || index->merge.n > 0;
    }
    if (err != OK) {
        index->failed = true;
        index->why_failed = why;
        pthread_cond_broadcast(&index->changed);
    }
    pthread_mutex_unlock(&index->lock);
    if (err != OK && index->config.failed != NULL)
        index->config.failed(index->config.ctx, &why);
    return NULL;
}

enum err index_open(struct index **out, const struct index_config *config, struct why *why)
{
    *out = NULL;
    struct index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return fail(why, ERR_ENV, "out of memory");
    index->config = *config;
    pthread_mutex_init(&index->lock, NULL);
    pthread_cond_init(&index->changed, NULL);
    pthread_cond_init(&index->due, NULL);
    struct hash last;
    enum err err = kv_open(&index->kv,
                           &(struct kv_config){ .path = config->path,
                                                .tables = index_tables,
                                                .tables_n = INDEX_TABLES_N,
                                                .map_bytes = MAP_BYTES,
                                                .readers_max = STORE_READERS_MAX,
                                                .read_only = config->reading },
                           why);
    if (err == OK && !config->reading)
        err = kv_write(index->kv, check_meta, &(struct span){ config->origin.data, config->origin.len }, why);
    if (err == OK && !config->reading)
        err = start_stored(index, why);
    if (err == OK)
        err = index_covered(index, &index->stored, &last, why);
    index->next = index->stored;
    index->look_for_merge = true; /* one may have been cut off */
    if (err == OK)
        *out = index;
    else
        index_close(index);
    return err;
}

void index_close(struct index *index)
{
    if (index == NULL)
        return;
    if (index->running) {
        pthread_mutex_lock(&index->lock);
        index->stopping = true;
        pthread_cond_broadcast(&index->due);
        pthread_mutex_unlock(&index->lock);
        pthread_join(index->thread, NULL);
        struct why why;
        if (!index->failed && flush_memory(index, &why) != OK)
            report_why(REPORT_WARN, "indices-not-written", &why); /* the next start reads the entries again */
    }
    for (size_t i = 0; i < index->memory_n; i++)
        memory_run_release(index->memory[i]);
    kv_close(index->kv);
    pthread_cond_destroy(&index->due);
    pthread_cond_destroy(&index->changed);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

/* Joins runs of like size, so that there are few; those that are being written out stay. With the lock held. */
static bool join_runs(struct index *index)
{
    while (index->memory_n >= index->pinned + 2) {
        struct memory_run **last = &index->memory[index->memory_n - 1], **before = last - 1;
        if ((*before)->n > 2 * (*last)->n && index->memory_n < MEMORY_RUNS_MAX)
            return true;
        struct memory_run *joined = memory_run_merge(*before, *last);
        if (joined == NULL)
            return false;
        memory_run_release(*before);
        memory_run_release(*last);
        *before = joined;
        index->memory_n--;
    }
    return true;
}

/* From the first index_add on: until then all may be forgotten. With the lock held. */
static void start_thread(struct index *index)
{
    if (index->running || index->failed)
        return;
    index->running = pthread_create(&index->thread, NULL, index_run, index) == 0;
    index->failed = !index->running;
    if (index->failed)
        fail(&index->why_failed, ERR_ENV, "cannot start a thread");
}

enum err index_add(struct index *index, uint64_t from, uint64_t to, const uint8_t *keys, size_t n, const struct hash *last,
                   struct why *why)
{
    struct memory_run *run = memory_run_sort(keys, n);
    if (run == NULL)
        return fail(why, ERR_ENV, "out of memory");
    run->from = from;
    run->to = to;
    run->last = *last;
    pthread_mutex_lock(&index->lock);
    start_thread(index);
    while (!index->failed && (index->next - index->stored > INDEX_MEMORY_ENTRIES_MAX || index->memory_n == MEMORY_RUNS_MAX))
        pthread_cond_wait(&index->changed, &index->lock);
    enum err err = index->failed ? fail(why, ERR_ENV, "%s", index->why_failed.text) : OK;
    if (err == OK) {
        index->memory[index->memory_n++] = run;
        index->next = to;
        if (!join_runs(index))
            err = fail(why, ERR_ENV, "out of memory");
        if (flush_due(index))
            pthread_cond_signal(&index->due);
    } else {
        memory_run_release(run);
    }
    pthread_mutex_unlock(&index->lock);
    return err;
}

void index_metrics(struct index *index, struct index_metrics *out)
{
    pthread_mutex_lock(&index->lock);
    *out = (struct index_metrics){ .entries_in_memory = index->next - index->stored, .used_bytes = kv_used_bytes(index->kv) };
    pthread_mutex_unlock(&index->lock);
}
