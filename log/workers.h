/*
 * Threads that answer requests whose cost would hold up the HTTP threads: submissions, which are verified, and look-ups. Each
 * kind has its own, so that neither waits for the other. They give way to every other thread of the machine that is as eager as
 * usual: what was taken is committed, signed, cosigned and answered before more is taken, so heads come sooner and hold more.
 */
#ifndef STELE_LOG_WORKERS_H
#define STELE_LOG_WORKERS_H

#include "lib/sys/http_server.h"

struct workers;
struct routes;

struct job {
    void (*answer)(struct routes *routes, struct http_request *request, struct span rest);
    struct routes *routes;
    struct http_request *request;
    struct span rest;
};

/* `jobs_max` wait at most. `idle` (may be NULL) is called by a worker that found no more to do. */
enum err workers_start(struct workers **out, unsigned threads, size_t jobs_max, void (*idle)(void *ctx), void *ctx,
                       struct why *why);
/* Ends the threads after the jobs at hand; those that wait are answered 503. NULL is fine. */
void workers_stop(struct workers *workers);
/* False where the queue is full. */
bool workers_take(struct workers *workers, const struct job *job);
/* Jobs that wait or are being done. */
size_t workers_busy(struct workers *workers);

#endif
