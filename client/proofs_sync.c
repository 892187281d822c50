#include "client/proofs_sync.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/file.h"

enum err proofs_sync_start(struct proofs_sync *sync, const struct client_config *config, struct why *why)
{
    *sync = (struct proofs_sync){ .dir = path_join(config->state, "proofs"), .fd = -1 };
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->ended_one, NULL);
    return sync->dir == NULL ? fail(why, ERR_ENV, "out of memory") : dir_open(sync->dir, &sync->fd, why);
}

enum err proofs_sync(struct proofs_sync *sync, struct why *why)
{
    pthread_mutex_lock(&sync->lock);
    /* The next one to begin: one that is under way may have passed by what was written last. */
    uint64_t wanted = sync->begun + 1;
    while (sync->err == OK && sync->ended < wanted) {
        if (sync->busy) {
            pthread_cond_wait(&sync->ended_one, &sync->lock);
            continue;
        }
        struct why trouble;
        sync->busy = true;
        sync->begun++;
        pthread_mutex_unlock(&sync->lock);
        enum err err = file_system_sync(sync->fd, sync->dir, &trouble);
        pthread_mutex_lock(&sync->lock);
        sync->busy = false;
        sync->ended++;
        sync->err = err;
        if (err != OK)
            sync->why = trouble;
        pthread_cond_broadcast(&sync->ended_one);
    }
    enum err err = sync->err;
    if (err != OK)
        *why = sync->why;
    pthread_mutex_unlock(&sync->lock);
    return err;
}

void proofs_sync_end(struct proofs_sync *sync)
{
    if (sync->dir == NULL)
        return;
    if (sync->fd >= 0)
        close(sync->fd);
    pthread_cond_destroy(&sync->ended_one);
    pthread_mutex_destroy(&sync->lock);
    free(sync->dir);
}
