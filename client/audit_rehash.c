/* `--rehash`: is what lies on disk what was registered? By as many threads as there are cores, one path at a time each. */
#include "client/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "client/prove.h"
#include "lib/sys/cli.h"
#include "lib/sys/narfs.h"

enum { THREADS_MAX = 64 };

struct hashing {
    struct audit *audit;
    struct audit_batch *batch;
    atomic_size_t next, done;
    atomic_bool short_of_memory;
};

static void hash_one(struct hashing *hashing, struct audit_item *item)
{
    struct hash hash;
    uint64_t size;
    char *real = nix_env_real_path(&hashing->audit->local.env, item->path.path.path.base);
    if (real == NULL) {
        hashing->short_of_memory = true;
        return;
    }
    if (nar_hash_path(real, &hash, &size, &item->why_altered) != OK) {
        item->altered = true;
    } else if (!hash_eq(&hash, &item->info.nar_hash) || size != item->info.nar_size) {
        item->altered = true;
        fail(&item->why_altered, OK, "%s", audit_class_meaning(AUDIT_ALTERED));
    }
    free(real);
}

static void *hash_some(void *ctx)
{
    struct hashing *hashing = ctx;
    for (;;) {
        size_t at = hashing->next++;
        if (at >= hashing->batch->n)
            return NULL;
        hash_one(hashing, &hashing->batch->items[at]);
        hashing->done++;
    }
}

enum err audit_rehash(struct audit *audit, struct audit_batch *batch, struct why *why)
{
    struct hashing hashing = { .audit = audit, .batch = batch };
    pthread_t ids[THREADS_MAX];
    unsigned threads = prove_threads(), started = 0;
    while (started + 1 < threads && started < THREADS_MAX && pthread_create(&ids[started], NULL, hash_some, &hashing) == 0)
        started++;
    /* This thread hashes as well, and tells how far all are. */
    for (size_t at; (at = hashing.next++) < batch->n;) {
        cli_progress("hashing", audit->done + hashing.done, audit->total);
        hash_one(&hashing, &batch->items[at]);
        hashing.done++;
    }
    while (started > 0)
        pthread_join(ids[--started], NULL);
    return hashing.short_of_memory ? fail(why, ERR_ENV, "out of memory") : OK;
}
