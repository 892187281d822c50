/* `stele attest --all`: a whole store, on all cores; what was done is noted in STATE/backfilled, so that it can be broken off and
 * begun again. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/attest.h"
#include "lib/encode.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"

enum { CORES_MAX = 16, DONE_BYTES_MAX = 256 << 20, DONE_LINE_BYTES = 65 };

struct built {
    char *path, *drv;
    struct hash nar_hash;
};

struct whole_store {
    struct attesting *attesting;
    struct built *items; /* by derivation, then by path */
    size_t n;
    size_t elsewhere, early, skipped;
    struct hash *before; /* done in earlier runs, sorted */
    size_t before_n;
    int noted; /* STATE/backfilled, to append to */
    pthread_mutex_t lock;
    size_t next, attested, again, refused; /* under the lock, as the rest is */
    enum err err;
    struct why why;
};

static enum err take_path(void *ctx, const struct nixdb_info *info, struct why *why)
{
    struct whole_store *store = ctx;
    if (!info->ultimate || info->deriver == NULL)
        store->elsewhere++;
    else if (info->registered_s < store->attesting->since_s)
        store->early++;
    else if (outbox_skips(&store->attesting->config, info->path))
        store->skipped++;
    else {
        struct built *items = array_more(store->items, store->n, sizeof *items);
        if (items == NULL)
            return fail(why, ERR_ENV, "out of memory");
        store->items = items;
        struct built *item = &store->items[store->n++];
        *item = (struct built){ span_dup_str(span_str(info->path)), span_dup_str(span_str(info->deriver)), info->nar_hash };
        if (item->path == NULL || item->drv == NULL)
            return fail(why, ERR_ENV, "out of memory");
    }
    return OK;
}

static int by_derivation(const void *a, const void *b)
{
    const struct built *x = a, *y = b;
    int order = strcmp(x->drv, y->drv);
    return order != 0 ? order : strcmp(x->path, y->path);
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(((const struct hash *)a)->b, ((const struct hash *)b)->b, sizeof((const struct hash *)a)->b);
}

/* A line torn by a crash is passed over: what it told is done again, and is the same attestation. */
static enum err load_done(struct whole_store *store, const char *path, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct span rest, line;
    bool found;
    enum err err = file_read_if(path, DONE_BYTES_MAX, &text, &found, why);
    store->before = calloc(text.len / DONE_LINE_BYTES + 1, sizeof *store->before);
    if (err == OK && store->before == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    rest = span_buf(&text);
    while (err == OK && span_line(&rest, &line))
        if (line.len + 1 == DONE_LINE_BYTES &&
            hex_decode(line, store->before[store->before_n].b, sizeof store->before[store->before_n].b))
            store->before_n++;
    if (err == OK && store->before_n > 0)
        qsort(store->before, store->before_n, sizeof *store->before, by_hash);
    buf_free(&text);
    return err;
}

/* What is attested at once: the outputs of one derivation, but several results of one output each by itself, as an impure
 * derivation has them. Sets the end of the group that begins at `from`. */
static size_t group_end(const struct whole_store *store, size_t from)
{
    size_t end = from + 1;
    while (end < store->n && end - from < SUBJECTS_MAX && strcmp(store->items[end].drv, store->items[from].drv) == 0)
        end++;
    for (size_t i = from; i < end; i++)
        for (size_t k = i + 1; k < end; k++) {
            const char *a = strrchr(store->items[i].path, '/'), *b = strrchr(store->items[k].path, '/');
            if (strlen(a) > 33 && strlen(b) > 33 && strcmp(a + 33, b + 33) == 0)
                return from + 1;
        }
    return end;
}

/* With the bytes: a path that was built anew meanwhile, and came out otherwise, is not done. */
static struct hash mark_of(const struct whole_store *store, size_t from, size_t end)
{
    struct vkey key = secret_key_vkey(store->attesting->key);
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, key.key, sizeof key.key);
    sha256_add(&state, store->items[from].drv, strlen(store->items[from].drv));
    for (size_t i = from; i < end; i++) {
        sha256_add(&state, store->items[i].path, strlen(store->items[i].path));
        sha256_add(&state, store->items[i].nar_hash.b, sizeof store->items[i].nar_hash.b);
    }
    return sha256_end(&state);
}

/* The next group; false at the end. */
static bool next_group(struct whole_store *store, size_t *from, size_t *end)
{
    pthread_mutex_lock(&store->lock);
    *from = store->next;
    bool more = store->err == OK && *from < store->n;
    if (more)
        store->next = *end = group_end(store, *from);
    cli_progress("attesting", *from, store->n);
    pthread_mutex_unlock(&store->lock);
    return more;
}

static void settle(struct whole_store *store, size_t n, const struct hash *mark, enum err err, const struct why *why)
{
    struct buf line = BUF_EMPTY;
    pthread_mutex_lock(&store->lock);
    if (err == OK) {
        hex_encode(&line, span_of(mark->b, sizeof mark->b));
        buf_byte(&line, '\n');
        if (line.failed || write(store->noted, line.data, line.len) != (ssize_t)line.len) {
            store->err = ERR_ENV;
            fail(&store->why, ERR_ENV, "cannot note what is done: %s", strerror(errno));
        }
        store->attested += n;
    } else if (err == ERR_ENV) {
        store->err = err;
        store->why = *why;
    } else {
        cli_progress_end();
        fprintf(stderr, "refused: %s\n", why->text);
        store->refused += n;
    }
    pthread_mutex_unlock(&store->lock);
    buf_free(&line);
}

static void *work(void *ctx)
{
    struct whole_store *store = ctx;
    struct nixdb *db = NULL;
    struct why why = { "" };
    size_t from, end;
    enum err err = nixdb_open(&db, &store->attesting->env, &why);
    if (err != OK)
        settle(store, 0, NULL, ERR_ENV, &why);
    while (err == OK && next_group(store, &from, &end)) {
        const char *paths[SUBJECTS_MAX];
        struct hash mark = mark_of(store, from, end);
        if (store->before_n > 0 && bsearch(&mark, store->before, store->before_n, sizeof mark, by_hash) != NULL) {
            pthread_mutex_lock(&store->lock);
            store->again += end - from;
            pthread_mutex_unlock(&store->lock);
            continue;
        }
        for (size_t i = from; i < end; i++)
            paths[i - from] = store->items[i].path;
        enum err done = attest_outputs(store->attesting, db, store->items[from].drv, paths, end - from, &why);
        settle(store, end - from, &mark, done, &why);
    }
    nixdb_close(db);
    return NULL;
}

static enum err work_on_all_cores(struct whole_store *store, struct why *why)
{
    pthread_t threads[CORES_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = cores < 1 ? 1 : cores > CORES_MAX ? CORES_MAX : (size_t)cores, started = 0;
    while (started < n && pthread_create(&threads[started], NULL, work, store) == 0)
        started++;
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    cli_progress_end();
    if (started == 0)
        return fail(why, ERR_ENV, "cannot start a thread");
    if (store->err != OK)
        *why = store->why;
    return store->err;
}

enum err attest_all(struct attesting *attesting, struct why *why)
{
    struct whole_store store = { .attesting = attesting, .noted = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
    char *path = path_join(attesting->config.state, "backfilled");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(attesting->config.state, 0755, why);
    if (err == OK)
        err = nixdb_each(attesting->db, take_path, &store, why);
    if (err == OK)
        err = load_done(&store, path, why);
    if (err == OK && (store.noted = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        err = fail(why, ERR_ENV, "cannot write %s: %s", path, strerror(errno));
    if (err == OK && store.n > 0) {
        qsort(store.items, store.n, sizeof *store.items, by_derivation);
        err = work_on_all_cores(&store, why);
    }
    if (err == OK)
        printf("%zu attested, %zu done before, %zu refused; passed over: %zu not built here, %zu older than this key's work here, "
               "%zu kept private\n",
               store.attested, store.again, store.refused, store.elsewhere, store.early, store.skipped);
    if (err == OK && store.refused > 0)
        err = fail(why, ERR_REFUSED, "%zu paths were refused", store.refused);
    if (store.noted >= 0)
        close(store.noted);
    for (size_t i = 0; i < store.n; i++) {
        free(store.items[i].path);
        free(store.items[i].drv);
    }
    free(store.items);
    free(store.before);
    free(path);
    return err;
}
