/*
 * What the indices want to know of an entry: read from its envelope alone, by the submission and by `fsck`.
 */
#ifndef STELE_LOG_ENTRY_H
#define STELE_LOG_ENTRY_H

#include "lib/dsse.h"
#include "log/store.h"

/* Fills bytes, leaf and builder from a parsed envelope. */
void entry_start(struct store_entry *out, const struct envelope *envelope);
/* Fills the rest from its payload. ERR_MALFORMED for a payload that no log takes, ERR_ENV. Free with entry_free. */
enum err entry_describe(struct store_entry *out, const struct envelope *envelope, struct why *why);
/* A stored entry: both, without a look at its signature. */
enum err entry_read(struct store_entry *out, struct span bytes, struct why *why);
/* A stored entry, its form and its signature as well; `payload` is room to work in. The error names the entry. ERR_MALFORMED,
 * ERR_REFUSED for a signature that does not verify, ERR_ENV. */
enum err entry_verify(struct store_entry *out, struct span bytes, uint64_t index, struct buf *payload, struct why *why);
void entry_free(struct store_entry *entry);

#endif
