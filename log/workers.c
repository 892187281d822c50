#include "log/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "log/limits.h"

enum { THREADS_MAX = 64 };

struct workers {
    pthread_t threads[THREADS_MAX];
    unsigned threads_n;
    void (*idle)(void *ctx);
    void *ctx;
    atomic_size_t busy;
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t filled;
    struct job *jobs; /* a ring */
    size_t jobs_max, first, n;
    bool stopping;
};

static void *work(void *arg)
{
    struct workers *workers = arg;
    setpriority(PRIO_PROCESS, 0, WORKERS_NICE); /* of this thread alone, on Linux; where it is not allowed all are equal */
    pthread_mutex_lock(&workers->lock);
    while (!workers->stopping) {
        if (workers->n == 0) {
            pthread_cond_wait(&workers->filled, &workers->lock);
            continue;
        }
        struct job job = workers->jobs[workers->first];
        workers->first = (workers->first + 1) % workers->jobs_max;
        workers->n--;
        pthread_mutex_unlock(&workers->lock);
        job.answer(job.routes, job.request, job.rest);
        if (atomic_fetch_sub(&workers->busy, 1) == 1 && workers->idle != NULL)
            workers->idle(workers->ctx);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

enum err workers_start(struct workers **out, unsigned threads, size_t jobs_max, void (*idle)(void *ctx), void *ctx, struct why *why)
{
    *out = NULL;
    struct workers *workers = calloc(1, sizeof *workers);
    struct job *jobs = calloc(jobs_max, sizeof *jobs);
    if (workers == NULL || jobs == NULL) {
        free(workers);
        free(jobs);
        return fail(why, ERR_ENV, "out of memory");
    }
    *workers = (struct workers){ .idle = idle, .ctx = ctx, .jobs = jobs, .jobs_max = jobs_max };
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->filled, NULL);
    while (workers->threads_n < threads && workers->threads_n < THREADS_MAX) {
        if (pthread_create(&workers->threads[workers->threads_n], NULL, work, workers) != 0) {
            workers_stop(workers);
            return fail(why, ERR_ENV, "cannot start a thread");
        }
        workers->threads_n++;
    }
    *out = workers;
    return OK;
}

void workers_stop(struct workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->filled);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->threads_n; i++)
        pthread_join(workers->threads[i], NULL);
    for (; workers->n > 0; workers->n--) {
        http_reply_problem(workers->jobs[workers->first].request, 503, 1, "the log is being stopped");
        workers->first = (workers->first + 1) % workers->jobs_max;
    }
    pthread_cond_destroy(&workers->filled);
    pthread_mutex_destroy(&workers->lock);
    free(workers->jobs);
    free(workers);
}

bool workers_take(struct workers *workers, const struct job *job)
{
    pthread_mutex_lock(&workers->lock);
    bool room = workers->n < workers->jobs_max && !workers->stopping;
    if (room) {
        workers->jobs[(workers->first + workers->n++) % workers->jobs_max] = *job;
        atomic_fetch_add(&workers->busy, 1);
        pthread_cond_signal(&workers->filled);
    }
    pthread_mutex_unlock(&workers->lock);
    return room;
}

size_t workers_busy(struct workers *workers)
{
    return atomic_load(&workers->busy);
}
