/*
 * Proof bundles: what the log answers with.
 */
#ifndef STELE_LOG_PROOFS_H
#define STELE_LOG_PROOFS_H

#include "log/published.h"
#include "log/store.h"

/* Appends the proof that `entry` is at `index`, below head->head.size, with the envelope as its extra line. ERR_ENV
 * where the entry and the tiles do not give one that holds: they are damaged, and all writing ends. */
enum err proof_of_entry(struct store_view *view, const struct published_head *head, uint64_t index, struct span entry,
                        struct buf *out, struct why *why);

#endif
