#include "log/seen.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/sys/file.h"
#include "log/limits.h"
#include "log/seen_run.h"

enum { RUNS_MAX = 128, SLOTS_LOG2_MIN = 12 }; /* few runs are ever there: the logarithm of their number */

/* An open-addressing hash table of entries that follow one another; a slot whose index is 0 is empty. */
struct slot {
    uint64_t prefix, index_1; /* the index plus one */
};

struct memory {
    struct slot *slots;
    unsigned slots_log2;
    uint64_t from, n;
    struct hash last;
};

/* What a thread does: writes a memory out, or merges runs [first, first + n). */
struct job {
    bool running;
    pthread_t thread;
    atomic_bool done;
    struct seen *seen;
    struct memory *memory; /* NULL: a merge */
    size_t first, n;
    struct seen_records sources[RUNS_MAX];
    uint64_t from, to;
    struct hash last;
    struct seen_run made;
    bool is_made;
    enum err err;
    struct why why;
};

struct seen {
    char *dir;
    uint64_t secret;       /* odd: nobody can choose attestations that crowd one place in memory */
    struct memory newest;  /* takes what is added */
    struct memory written; /* is being written out */
    struct seen_run runs[RUNS_MAX];
    size_t runs_n;
    struct job write, merge;
    atomic_bool stopping;
    _Atomic uint64_t bytes;
};

static enum err memory_start(struct memory *memory, uint64_t from, unsigned slots_log2, struct why *why)
{
    *memory = (struct memory){ .from = from, .slots_log2 = slots_log2 };
    memory->slots = calloc((size_t)1 << slots_log2, sizeof *memory->slots);
    return memory->slots == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static uint64_t prefix_of(const struct hash *leaf)
{
    return get_be64(leaf->b);
}

static uint64_t home(const struct seen *seen, const struct memory *memory, uint64_t prefix)
{
    return prefix * seen->secret >> (64 - memory->slots_log2);
}

static void memory_put(const struct seen *seen, struct memory *memory, struct slot slot)
{
    uint64_t mask = ((uint64_t)1 << memory->slots_log2) - 1, at = home(seen, memory, slot.prefix);
    while (memory->slots[at].index_1 != 0)
        at = (at + 1) & mask;
    memory->slots[at] = slot;
    memory->n++;
}

static enum err memory_grow(const struct seen *seen, struct memory *memory, struct why *why)
{
    struct memory larger;
    enum err err = memory_start(&larger, memory->from, memory->slots_log2 + 1, why);
    if (err != OK)
        return err;
    larger.last = memory->last;
    for (uint64_t i = 0; i < (uint64_t)1 << memory->slots_log2; i++)
        if (memory->slots[i].index_1 != 0)
            memory_put(seen, &larger, memory->slots[i]);
    free(memory->slots);
    *memory = larger;
    return OK;
}

static int by_prefix(const void *a, const void *b)
{
    return memcmp(a, b, SEEN_RECORD_BYTES);
}

/* The records, sorted; freed by the caller. */
static uint8_t *memory_sort(const struct memory *memory)
{
    uint8_t *records = malloc(memory->n * SEEN_RECORD_BYTES + 1), *at = records;
    if (records == NULL)
        return NULL;
    for (uint64_t i = 0; i < (uint64_t)1 << memory->slots_log2; i++)
        if (memory->slots[i].index_1 != 0) {
            put_be64(at, memory->slots[i].prefix);
            put_be64(at + 8, memory->slots[i].index_1 - 1);
            at += SEEN_RECORD_BYTES;
        }
    qsort(records, memory->n, SEEN_RECORD_BYTES, by_prefix);
    return records;
}

static void *job_run(void *ctx)
{
    struct job *job = ctx;
    uint8_t *records = NULL;
    if (job->memory != NULL) {
        records = memory_sort(job->memory);
        job->sources[0] = (struct seen_records){ records, records == NULL ? NULL : records + job->memory->n * SEEN_RECORD_BYTES };
        job->n = 1;
    }
    if (job->memory != NULL && records == NULL)
        job->err = fail(&job->why, ERR_ENV, "out of memory");
    else
        job->err = seen_run_make(&job->made, job->seen->dir, job->from, job->to, &job->last, job->sources, job->n,
                                 &job->seen->stopping, &job->is_made, &job->why);
    free(records);
    atomic_store(&job->done, true);
    return NULL;
}

static enum err job_start(struct seen *seen, struct job *job, struct why *why)
{
    job->seen = seen;
    atomic_store(&job->done, false);
    job->running = pthread_create(&job->thread, NULL, job_run, job) == 0;
    return job->running ? OK : fail(why, ERR_ENV, "cannot start a thread");
}

/* Puts what a job made in the place of what it was made from. */
static void take_over(struct seen *seen, struct job *job)
{
    assert(job->memory == NULL || seen->runs_n < RUNS_MAX);
    seen->bytes += seen_run_bytes(&job->made);
    if (job->memory != NULL) {
        seen->runs[seen->runs_n++] = job->made;
        free(seen->written.slots);
        seen->written = (struct memory){ 0 };
        return;
    }
    for (size_t i = job->first; i < job->first + job->n; i++) {
        seen->bytes -= seen_run_bytes(&seen->runs[i]);
        seen_run_close(&seen->runs[i], true);
    }
    seen->runs[job->first] = job->made;
    size_t after = job->first + job->n;
    memmove(&seen->runs[job->first + 1], &seen->runs[after], (seen->runs_n - after) * sizeof seen->runs[0]);
    seen->runs_n -= job->n - 1;
}

/* Takes the job's work where it is done, or waits for it. */
static enum err job_collect(struct seen *seen, struct job *job, bool wait, struct why *why)
{
    if (!job->running || (!wait && !atomic_load(&job->done)))
        return OK;
    pthread_join(job->thread, NULL);
    job->running = false;
    if (job->err != OK)
        return fail(why, job->err, "%s", job->why.text);
    if (job->is_made)
        take_over(seen, job);
    return OK;
}

/* Merges the newest runs from where each is at most twice all after it: so their number grows with the logarithm. */
static enum err start_merge(struct seen *seen, struct why *why)
{
    struct job *job = &seen->merge;
    size_t n = seen->runs_n, first = n;
    for (uint64_t entries = 0; first > 0 && (first == n || seen_run_entries(&seen->runs[first - 1]) <= 2 * entries); first--)
        entries += seen_run_entries(&seen->runs[first - 1]);
    if (n - first < 2)
        return OK;
    *job = (struct job){
        .first = first, .n = n - first, .from = seen->runs[first].from, .to = seen->runs[n - 1].to, .last = seen->runs[n - 1].last
    };
    for (size_t i = first; i < n; i++)
        job->sources[i - first] =
            (struct seen_records){ seen->runs[i].records,
                                   seen->runs[i].records + seen_run_entries(&seen->runs[i]) * SEEN_RECORD_BYTES };
    return job_start(seen, job, why);
}

static enum err start_write(struct seen *seen, struct why *why)
{
    struct memory *newest = &seen->newest, next;
    enum err err = memory_start(&next, newest->from + newest->n, newest->slots_log2, why);
    if (err != OK)
        return err;
    seen->write = (struct job){ .memory = &seen->written, .from = newest->from, .to = next.from, .last = newest->last };
    seen->written = *newest;
    *newest = next;
    return job_start(seen, &seen->write, why);
}

enum err seen_settle(struct seen *seen, struct why *why)
{
    bool due = seen->newest.n >= SEEN_WRITE_ENTRIES;
    enum err err = job_collect(seen, &seen->write, due, why);
    if (err == OK)
        err = job_collect(seen, &seen->merge, seen->runs_n == RUNS_MAX, why);
    if (err == OK && !seen->merge.running)
        err = start_merge(seen, why);
    return err == OK && due ? start_write(seen, why) : err;
}

enum err seen_add(struct seen *seen, const struct hash *leaf, uint64_t index, struct why *why)
{
    struct memory *memory = &seen->newest;
    if (index != memory->from + memory->n)
        return fail(why, ERR_ENV, "the set of leaf hashes takes entry %llu next, not %llu",
                    (unsigned long long)(memory->from + memory->n), (unsigned long long)index);
    enum err err = memory->n >> (memory->slots_log2 - 1) == 0 ? OK : memory_grow(seen, memory, why);
    if (err != OK)
        return err;
    memory_put(seen, memory, (struct slot){ prefix_of(leaf), index + 1 });
    memory->last = *leaf;
    return OK;
}

static enum err find_in_memory(const struct seen *seen, const struct memory *memory, const struct hash *leaf, seen_is_fn *is,
                               void *ctx, bool *found, uint64_t *index, struct why *why)
{
    if (memory->slots == NULL)
        return OK;
    uint64_t prefix = prefix_of(leaf), mask = ((uint64_t)1 << memory->slots_log2) - 1;
    for (uint64_t at = home(seen, memory, prefix); memory->slots[at].index_1 != 0; at = (at + 1) & mask) {
        if (memory->slots[at].prefix != prefix)
            continue;
        *index = memory->slots[at].index_1 - 1;
        enum err err = is(ctx, *index, leaf, found, why);
        if (err != OK || *found)
            return err;
    }
    return OK;
}

static enum err find_in_run(const struct seen_run *run, const struct hash *leaf, seen_is_fn *is, void *ctx, bool *found,
                            uint64_t *index, struct why *why)
{
    uint64_t prefix = prefix_of(leaf), n = seen_run_entries(run);
    for (uint64_t at = seen_run_seek(run, prefix); at < n; at++) {
        const uint8_t *record = run->records + at * SEEN_RECORD_BYTES;
        if (get_be64(record) != prefix)
            return OK;
        *index = get_be64(record + 8);
        enum err err = is(ctx, *index, leaf, found, why);
        if (err != OK || *found)
            return err;
    }
    return OK;
}

enum err seen_find(const struct seen *seen, const struct hash *leaf, seen_is_fn *is, void *ctx, bool *found, uint64_t *index,
                   struct why *why)
{
    *found = false;
    for (size_t i = 0; i < seen->runs_n; i++)
        seen_run_prepare(&seen->runs[i], prefix_of(leaf));
    /* The newest first: what is sent twice is sent soon. */
    enum err err = find_in_memory(seen, &seen->newest, leaf, is, ctx, found, index, why);
    if (err == OK && !*found)
        err = find_in_memory(seen, &seen->written, leaf, is, ctx, found, index, why);
    for (size_t i = seen->runs_n; i-- > 0 && err == OK && !*found;)
        err = find_in_run(&seen->runs[i], leaf, is, ctx, found, index, why);
    return err;
}

/* What the folder has, and the runs that the names promise; `to` is 0 where it is no run's. */
struct listed {
    uint64_t from, to;
    char *name;
};

struct listing {
    struct listed *items;
    size_t n;
};

static enum err list_one(void *ctx, const char *name, struct why *why)
{
    struct listing *listing = ctx;
    struct span text = span_str(name);
    ptrdiff_t dash = span_find(text, '-');
    struct listed *items = array_more(listing->items, listing->n, sizeof *items);
    if (items == NULL)
        return fail(why, ERR_ENV, "out of memory");
    listing->items = items;
    struct listed *item = &items[listing->n];
    *item = (struct listed){ .name = span_dup_str(text) };
    if (item->name == NULL)
        return fail(why, ERR_ENV, "out of memory");
    listing->n++;
    if (dash < 0 || !span_decimal(span_cut(text, 0, (size_t)dash), UINT64_MAX, &item->from) ||
        !span_decimal(span_cut(text, (size_t)dash + 1, text.len - (size_t)dash - 1), UINT64_MAX, &item->to))
        item->to = 0;
    return OK;
}

/* Opens [from, to) where it belongs to the entries. */
static enum err try_run(struct seen *seen, const struct seen_config *config, uint64_t from, uint64_t to, bool *fits,
                        struct why *why)
{
    struct seen_run *run = &seen->runs[seen->runs_n];
    struct hash leaf;
    enum err err = seen_run_open(run, config->dir, from, to, fits, why);
    if (err != OK || !*fits)
        return err;
    err = config->leaf(config->ctx, to - 1, &leaf, why);
    *fits = err == OK && hash_eq(&leaf, &run->last);
    if (!*fits)
        seen_run_close(run, false);
    return config->reading ? OK : err; /* who reads finds by itself what is wrong with the tiles */
}

/* A chain from entry 0 on, of the largest that there are: a merge that a crash cut off left its sources beside it, or a part of
 * itself. */
static enum err open_runs(struct seen *seen, const struct seen_config *config, struct listing *listing, struct why *why)
{
    uint64_t at = 0, below = UINT64_MAX;
    while (seen->runs_n < RUNS_MAX / 2) {
        uint64_t to = 0;
        bool fits;
        for (size_t i = 0; i < listing->n; i++)
            if (listing->items[i].from == at && listing->items[i].to > to && listing->items[i].to < below &&
                listing->items[i].to <= config->size)
                to = listing->items[i].to;
        if (to <= at)
            return OK;
        enum err err = try_run(seen, config, at, to, &fits, why);
        if (err != OK)
            return err;
        below = fits ? UINT64_MAX : to;
        if (!fits)
            continue;
        seen->bytes += seen_run_bytes(&seen->runs[seen->runs_n++]);
        at = to;
    }
    return OK;
}

static bool in_use(const struct seen *seen, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < seen->runs_n; i++)
        if (seen->runs[i].from == from && seen->runs[i].to == to)
            return true;
    return false;
}

/* Removes what is not in use, and frees the list. */
static void end_listing(struct seen *seen, const struct seen_config *config, struct listing *listing, bool tidy)
{
    for (size_t i = 0; i < listing->n; i++) {
        char *path = path_join(config->dir, listing->items[i].name);
        if (path != NULL && tidy && !in_use(seen, listing->items[i].from, listing->items[i].to))
            unlink(path);
        free(path);
        free(listing->items[i].name);
    }
    free(listing->items);
}

uint64_t seen_covered(const struct seen *seen)
{
    return seen->runs_n == 0 ? 0 : seen->runs[seen->runs_n - 1].to;
}

enum err seen_open(struct seen **out, const struct seen_config *config, struct why *why)
{
    *out = NULL;
    struct listing listing = { 0 };
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen != NULL)
        seen->dir = span_dup_str(span_str(config->dir));
    enum err err = seen == NULL || seen->dir == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err = dir_each(config->dir, list_one, &listing, why);
    if (err == OK)
        err = open_runs(seen, config, &listing, why);
    if (seen != NULL)
        end_listing(seen, config, &listing, err == OK && !config->reading);
    if (err == OK)
        err = memory_start(&seen->newest, seen_covered(seen), SLOTS_LOG2_MIN, why);
    if (err != OK) {
        seen_close(seen);
        return err;
    }
    randombytes_buf(&seen->secret, sizeof seen->secret);
    seen->secret |= 1;
    *out = seen;
    return OK;
}

void seen_close(struct seen *seen)
{
    struct why ignored;
    if (seen == NULL)
        return;
    atomic_store(&seen->stopping, true);
    job_collect(seen, &seen->write, true, &ignored);
    job_collect(seen, &seen->merge, true, &ignored);
    for (size_t i = 0; i < seen->runs_n; i++)
        seen_run_close(&seen->runs[i], false);
    free(seen->newest.slots);
    free(seen->written.slots);
    free(seen->dir);
    free(seen);
}

uint64_t seen_bytes(const struct seen *seen)
{
    return seen->bytes;
}
