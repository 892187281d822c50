/*
 * Tiles and entry bundles that were asked for lately, as whole answers: what is read again costs neither the store nor a copy, and
 * is compressed once. They never change, so nothing here goes stale; who may see them is the caller's question. Any thread.
 */
#ifndef STELE_LOG_HOT_H
#define STELE_LOG_HOT_H

#include "lib/sys/http_server.h"
#include "lib/tile.h"

struct hot;

struct hot *hot_new(void); /* NULL where memory is short */
void hot_free(struct hot *hot);

/* The answer, to be released; NULL where it is not here. `packed`: the compressed one. */
struct http_shared *hot_find(struct hot *hot, const struct tile *tile, bool packed);
/* Keeps an answer of so many bytes in place of those that were not asked for longest. */
void hot_keep(struct hot *hot, const struct tile *tile, bool packed, struct http_shared *answer, size_t bytes);

#endif
