/*
 * The log's routes (spec/log.md): what each request is answered with.
 */
#ifndef STELE_LOG_ROUTES_H
#define STELE_LOG_ROUTES_H

#include "lib/sys/http_server.h"
#include "log/admission.h"
#include "log/hot.h"
#include "log/limits.h"
#include "log/pipeline.h"

struct routes {
    struct pipeline *pipeline;
    struct workers *lookups; /* answer what may take long */
    struct admission admission;
    struct hot *hot;
    struct tile_cache *_Atomic caches[LOOKUP_THREADS]; /* of the look-ups: one for each of their threads, once it had any to do */
    struct http_server *_Atomic server;                /* for its counts; NULL until it runs */
};

/* struct http_server_config.handle, with a struct routes as its ctx. */
void routes_handle(void *routes, struct http_request *request);

/* The reading half (routes_read.c). `rest` is the path after the route's own part. */
void route_checkpoint(struct routes *routes, struct http_request *request, struct span rest);
void route_tile(struct routes *routes, struct http_request *request, struct span rest);
void route_inputs(struct routes *routes, struct http_request *request, struct span rest);
void route_health(struct routes *routes, struct http_request *request, struct span rest);
void route_metrics(struct routes *routes, struct http_request *request, struct span rest);

/* The look-ups (routes_lookup.c). */
void routes_free_caches(struct routes *routes);
void route_output(struct routes *routes, struct http_request *request, struct span rest);
void route_outputs(struct routes *routes, struct http_request *request, struct span rest);
void route_derivation(struct routes *routes, struct http_request *request, struct span rest);
void route_builder(struct routes *routes, struct http_request *request, struct span rest);

/* What the routes that read share (routes_read.c). */
#define TEXT_PLAIN   "text/plain; charset=utf-8"
#define NOTHING_MORE ((struct http_header){ NULL, NULL })
/* 200 with `more` as a further header. Takes the body. */
void routes_reply(struct http_request *request, const char *type, const char *cache, struct http_header more, struct buf *body);
/* The same, compressed where the client asks for it: not by an HTTP thread. */
void routes_reply_packed(struct http_request *request, const char *type, const char *cache, struct http_header more,
                         struct buf *body);
/* 500 or 400. */
void routes_reply_err(struct http_request *request, enum err err, const struct why *why);
/* Takes what is published; answers 503 where nothing is. */
bool routes_take_published(struct routes *routes, struct http_request *request, struct published_view *shown);

#endif
