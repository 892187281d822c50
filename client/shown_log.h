/*
 * A log as it shows itself at a URL: its checkpoint, and by its tiles what root its tree had at any size (c2sp.org/tlog-tiles).
 * What it shows may be made up, tile by tile: it counts only where it leads to the root that the log signed.
 */
#ifndef STELE_CLIENT_SHOWN_LOG_H
#define STELE_CLIENT_SHOWN_LOG_H

#include "lib/checkpoint.h"
#include "lib/sys/http_client.h"
#include "lib/tile.h"

struct shown_log {
    const char *url;            /* set by the caller, as is `client` */
    struct http_client *client; /* which may read file:// as well */
    struct http_response checkpoint, response;
    struct checkpoint head; /* set by shown_log_believe */
    struct tile_reader tiles;
};

/* GET checkpoint: the note is in shown->checkpoint.body. ERR_ENV. */
enum err shown_log_ask(struct shown_log *shown, struct why *why);
/* The caller has verified the checkpoint: tiles are held against it from now on. */
void shown_log_believe(struct shown_log *shown, const struct checkpoint *head);
/* The root that the shown tree had at `size`, not above its own, with the consistency proof from there. ERR_ENV where tiles are
 * missing, or do not give the root that was believed: then nothing can be told from them. */
enum err shown_log_root(struct shown_log *shown, uint64_t size, struct hash *root, struct hash proof[PROOF_HASHES_MAX], size_t *n,
                        struct why *why);
void shown_log_free(struct shown_log *shown);

#endif
