/*
 * The bytes of the heads file (spec/files.md): pure, so that it can be fuzzed; lib/sys/heads.h does the writing.
 */
#ifndef STELE_HEADSFILE_H
#define STELE_HEADSFILE_H

#include "lib/head.h"

enum { HEADSFILE_RECORD_BYTES = 128 };

struct headsfile_record {
    struct hash origin_hash; /* SHA-256 of the origin */
    struct head head;
    uint64_t time_s;
    uint64_t number; /* from 1, without a gap */
    uint64_t batch;  /* the number of the first record written with the same sync */
};

/* A mark has zeros for an origin, and one of these for a size (spec/files.md, "The heads file"). */
enum {
    HEADSFILE_MARK_ALL = 0,    /* every head before it is suspended, and every origin that has none after it */
    HEADSFILE_MARK_OTHERS = 1, /* an origin that has no head at all is not */
};
static inline bool headsfile_is_mark(const struct headsfile_record *record)
{
    static const struct hash zero = { { 0 } };
    return hash_eq(&record->origin_hash, &zero);
}

/* The first 128 bytes of a file. */
void headsfile_header(struct buf *out);
void headsfile_record(struct buf *out, const struct headsfile_record *record);

/* Calls `each` for every record that counts, in order, and sets *valid_len to the bytes that stay: what follows is a torn
 * last batch. ERR_MALFORMED where the file was damaged: a wrong header, a gap, an invalid record with a later batch
 * after it, or one that is right but for one bit. An error of `each` ends it. */
enum err headsfile_parse(struct span file, enum err (*each)(void *ctx, const struct headsfile_record *record, struct why *why),
                         void *ctx, size_t *valid_len, struct why *why);

#endif
