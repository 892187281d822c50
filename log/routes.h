/*
 * The log's routes (spec/log.md): what each request is answered with.
 */
#ifndef STELE_LOG_ROUTES_H
#define STELE_LOG_ROUTES_H

#include "lib/sys/http_server.h"
#include "log/pipeline.h"

struct routes {
    struct pipeline *pipeline;
    pthread_rwlock_t builders_lock;
    struct builders *builders; /* owned; replaced as a whole */
};

/* struct http_server_config.handle, with a struct routes as its ctx. */
void routes_handle(void *routes, struct http_request *request);
void routes_use_builders(struct routes *routes, struct builders *builders);

/* The reading half (routes_read.c). `rest` is the path after the route's own part. */
void route_checkpoint(struct routes *routes, struct http_request *request, struct span rest);
void route_tile(struct routes *routes, struct http_request *request, struct span rest);
void route_output(struct routes *routes, struct http_request *request, struct span rest);
void route_inputs(struct routes *routes, struct http_request *request, struct span rest);
void route_health(struct routes *routes, struct http_request *request, struct span rest);
void route_metrics(struct routes *routes, struct http_request *request, struct span rest);

#endif
