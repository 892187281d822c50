/* What each path of a batch costs by itself, by as many threads as there are cores: signatures, and with `--rehash` what lies on
 * disk, held against what was registered. */
#include "client/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "client/prove.h"
#include "lib/sys/cli.h"
#include "lib/sys/contents.h"
#include "lib/sys/narfs.h"

enum { THREADS_MAX = 64 };

struct pool {
    struct audit *audit;
    struct audit_batch *batch;
    enum err (*each)(struct audit *audit, struct audit_item *item, struct why *why);
    const char *what; /* for the progress bar */
    atomic_size_t next, done;
    pthread_mutex_t lock;
    enum err err; /* the first error */
    struct why why;
};

/* The next path; false where none is left. */
static bool work_one(struct pool *pool)
{
    size_t at = pool->next++;
    struct why why;
    if (at >= pool->batch->n)
        return false;
    enum err err = pool->each(pool->audit, &pool->batch->items[at], &why);
    pool->done++;
    if (err != OK) {
        pthread_mutex_lock(&pool->lock);
        if (pool->err == OK) {
            pool->err = err;
            pool->why = why;
        }
        pthread_mutex_unlock(&pool->lock);
    }
    return true;
}

static void *work(void *ctx)
{
    while (work_one(ctx)) {
    }
    return NULL;
}

static enum err run(struct pool *pool, struct why *why)
{
    pthread_t ids[THREADS_MAX];
    unsigned threads = prove_threads(), started = 0;
    while (started + 1 < threads && started < THREADS_MAX && pthread_create(&ids[started], NULL, work, pool) == 0)
        started++;
    /* This thread works as well, and tells how far all are. */
    while (work_one(pool))
        cli_progress(pool->what, pool->audit->done + pool->done, pool->audit->total);
    while (started > 0)
        pthread_join(ids[--started], NULL);
    return pool->err == OK ? OK : fail(why, pool->err, "%s", pool->why.text);
}

static enum err load_one(struct audit *audit, struct audit_item *item, struct why *why)
{
    return local_path_load(&audit->local.trust, &item->info, &item->path, why);
}

/* Most kinds of content address have no hash of the database's in them: whoever altered that with what lies on disk is found by the
 * address alone. */
static void check_address(struct audit_item *item, const char *real)
{
    const struct storepath *path = &item->path.path.path;
    struct content_address address;
    struct span self = { 0 };
    bool fits = false;
    for (size_t i = 0; i < item->path.references_n; i++)
        if (span_eq(item->path.references[i], path->base))
            self = path->hash_part;
    if (!content_address_parse(&address, span_str(item->info.ca)) ||
        (address.recursive && self.len == 0 && span_is(address.algo, "sha256"))) /* the hash of the NAR */
        return;
    if (contents_fit(real, &address, self, &fits, &item->why_altered) != OK) {
        item->altered = true;
    } else if (!fits) {
        item->altered = true;
        fail(&item->why_altered, OK, "what lies on disk is not what its content address says");
    }
}

static enum err hash_one(struct audit *audit, struct audit_item *item, struct why *why)
{
    struct hash hash;
    uint64_t size;
    char *real = nix_env_real_path(&audit->local.env, item->path.path.path.base);
    if (real == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (nar_hash_path(real, &hash, &size, &item->why_altered) != OK) {
        item->altered = true;
    } else if (!hash_eq(&hash, &item->info.nar_hash) || size != item->info.nar_size) {
        item->altered = true;
        fail(&item->why_altered, OK, "%s", audit_class_meaning(AUDIT_ALTERED));
    } else if (item->path.path.content_addressed) {
        check_address(item, real);
    }
    free(real);
    return OK;
}

enum err audit_load(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    struct pool pool = { .audit = audit, .batch = batch, .each = load_one, .what = "auditing", .lock = PTHREAD_MUTEX_INITIALIZER };
    return run(&pool, why);
}

enum err audit_rehash(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    struct pool pool = { .audit = audit, .batch = batch, .each = hash_one, .what = "hashing", .lock = PTHREAD_MUTEX_INITIALIZER };
    return run(&pool, why);
}
