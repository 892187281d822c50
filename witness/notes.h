/*
 * The newest cosigned checkpoint of each log, as the monitoring route serves it (tlog-witness, "Monitor Retrieval
 * Mechanism"). In memory first; a thread brings it to DIR/checkpoints/<origin hash>. What a crash loses there is old by
 * less than a second: the heads file, not these, is what the witness remembers by, and these tell when that file is an old one.
 */
#ifndef STELE_WITNESS_NOTES_H
#define STELE_WITNESS_NOTES_H

#include "witness/logs.h"

/* Takes over a note just signed, if it is not older than what is there. *note becomes empty. */
void notes_keep(struct logs *logs, struct log *log, struct buf *note, const struct head *head, uint64_t time_s);
/* A copy of the log's note; empty where there is none. */
void notes_copy(struct logs *logs, struct log *log, struct buf *out, uint64_t *size, uint64_t *time_s);
/* Reads the log's note from its file, where it verifies, before the log is in the table. ERR_REFUSED where it goes beyond the
 * signer's head or contradicts it: then the heads file is an old one. */
enum err notes_restore(struct logs *logs, struct log *log, struct why *why);

struct notes_flusher;
enum err notes_flusher_start(struct notes_flusher **out, struct logs *logs, struct why *why);
/* Writes what is left, and frees. */
void notes_flusher_stop(struct notes_flusher *flusher);

#endif
