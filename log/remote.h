/*
 * A log, or a copy of one, read over HTTP as c2sp.org/tlog-tiles says. Nothing that comes is believed: sizes are bounded before
 * they are read, and whoever asks holds what comes against a signed checkpoint.
 *
 * For one thread. What is handed out is borrowed until the next call of the same function. A request that fails is tried again a
 * few times; ERR_ENV then, and ERR_REFUSED for an answer that is none.
 */
#ifndef STELE_LOG_REMOTE_H
#define STELE_LOG_REMOTE_H

#include "lib/head.h"
#include "lib/tile.h"

struct remote;

/* From a command line's --patience; NULL: what is usual. ERR_USAGE. */
enum err remote_patience(const char *seconds, unsigned *patience_ms, struct why *why);
/* `url` is the log's prefix: http, https or file. `patience_ms` is for one request. */
enum err remote_open(struct remote **out, const char *url, unsigned patience_ms, struct why *why);
void remote_close(struct remote *remote); /* NULL is fine */

/* The checkpoint's note as it came; nothing is verified. */
enum err remote_checkpoint(struct remote *remote, struct span *note, struct why *why);
/* Of the tree of `size` entries are tiles and bundles, until the next call. */
void remote_use_size(struct remote *remote, uint64_t size);
enum err remote_tile(struct remote *remote, const struct tile *tile, struct span *bytes, struct why *why);
/* The first `width` entries of bundle `number`, and no more. */
enum err remote_bundle(struct remote *remote, uint64_t number, unsigned width, struct span *bundle, struct why *why);
/* An input list of that SHA-256, which was checked. */
enum err remote_inputs(struct remote *remote, const struct hash *list, struct span *text, bool *found, struct why *why);
/* Do the tiles prove that the tree of `head`, whose size is used, grew out of that of `old`? ERR_REFUSED where not. */
enum err remote_extends(struct remote *remote, const struct head *old, const struct head *head, struct why *why);

#endif
