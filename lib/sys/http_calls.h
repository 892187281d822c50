/*
 * Several peers asked at once over kept-alive connections, one request in flight a slot: how the log asks its witnesses. Used by
 * one thread, but for http_calls_wake.
 */
#ifndef STELE_SYS_HTTP_CALLS_H
#define STELE_SYS_HTTP_CALLS_H

#include "lib/sys/http_client.h"

struct http_calls;
enum err http_calls_new(struct http_calls **out, size_t slots, struct why *why);
void http_calls_free(struct http_calls *calls);
bool http_calls_busy(const struct http_calls *calls, size_t slot);
/* Starts a request in an idle slot; `body` is copied. */
enum err http_calls_post(struct http_calls *calls, size_t slot, const char *url, struct span body, unsigned timeout_ms,
                         size_t bytes_max, struct why *why);
enum err http_calls_get(struct http_calls *calls, size_t slot, const char *url, unsigned timeout_ms, size_t bytes_max,
                        struct why *why);
/* Waits up to `timeout_ms` for something to happen, and calls `done` for each slot that ended: with a response, or with NULL
 * and why there is none. */
enum err http_calls_wait(struct http_calls *calls, unsigned timeout_ms,
                         void (*done)(void *ctx, size_t slot, const struct http_response *response, const struct why *why),
                         void *ctx, struct why *why);
/* From another thread: ends a wait early. */
void http_calls_wake(struct http_calls *calls);

#endif
