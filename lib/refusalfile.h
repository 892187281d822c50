/*
 * What the gate refused, as STATE/refusals keeps it (spec/files.md): records, each a line
 *     TIME refused|warned HASHPART SENTENCE
 * and the reasoning in lines below it, indented by two spaces. Pure, so that it can be fuzzed.
 */
#ifndef STELE_REFUSALFILE_H
#define STELE_REFUSALFILE_H

#include "lib/bytes.h"

struct refusal {
    uint64_t time_s;
    bool warned; /* `mode warn` let it pass; enforce would have refused it */
    struct span hash_part, why;
    struct span tree; /* the indented lines, as they stand in the file */
};

/* `tree` is taken without its indentation here. */
void refusalfile_add(struct buf *out, const struct refusal *refusal);
/* Takes the next record; lines that belong to none, of a file that was begun anew in the middle of one, are passed over. */
bool refusalfile_next(struct span *rest, struct refusal *out);
/* The store path that the reasoning starts with, or the hash part where it has none. */
struct span refusal_path(const struct refusal *refusal);

#endif
