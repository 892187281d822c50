/*
 * What a log's folder says of itself, for the commands that read it without, or beside, a running log.
 */
#ifndef STELE_LOG_FOLDER_H
#define STELE_LOG_FOLDER_H

#include "lib/head.h"
#include "log/config.h"

/* The log's public key; its name is the origin. `text` is what it borrows from. ERR_ENV, ERR_MALFORMED; ERR_REFUSED for the key
 * of another origin. */
enum err folder_key(const struct log_config *config, struct buf *text, struct vkey *key, struct why *why);

struct folder_head {
    bool found;
    struct head head;
    uint64_t time_s; /* of the signature; 0 where it is not known */
};
/* DIR/checkpoint, verified under the log's key; the note is appended to `note`. */
enum err folder_checkpoint(const struct log_config *config, const struct vkey *key, struct buf *note, struct folder_head *out,
                           struct why *why);
/* What the signer signed last, from DIR/heads, read only. *there: is there such a file? */
enum err folder_signed(const struct log_config *config, struct folder_head *out, bool *there, struct why *why);

/* DIR/frozen: what submitters are told, on one line, appended without its newline. */
enum err folder_frozen(const struct log_config *config, struct buf *text, bool *frozen, struct why *why);

/* Verifies a checkpoint's note under the log's key. ERR_MALFORMED, ERR_REFUSED. */
enum err folder_open_checkpoint(const struct vkey *key, struct span text, struct head *head, struct why *why);

/* Is DIR/NAME there? */
enum err folder_has(const struct log_config *config, const char *name, bool *there, struct why *why);

#endif
