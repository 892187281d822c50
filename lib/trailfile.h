/*
 * The bytes of the trail memory (spec/files.md, "The trail memory"): paths whose trail was found complete. Pure, so that it can
 * be fuzzed; client/trail_memory.h does the reading and writing.
 */
#ifndef STELE_TRAILFILE_H
#define STELE_TRAILFILE_H

#include "lib/storepath.h"

struct trailfile_line {
    struct span path; /* a full store path */
    struct hash nar_hash;
    bool built;             /* as the output of a build; false: as ground, which no build's output may pass for */
    struct span references; /* base names, each with a space before it; may be empty */
};

/* The first line: of which rules (a policy, a trust file) all that follows is the outcome. */
void trailfile_head(struct buf *out, const struct hash *rules);
/* Takes it off `rest`; false where another one stands there. */
bool trailfile_take_head(struct span *rest, const struct hash *rules);
/* A line ends in a check of its own, so that a torn one is none. */
void trailfile_line(struct buf *out, const struct trailfile_line *line);
/* Takes the next line off `rest`; false, and `rest` as it was, at the end and where none stands there. Borrows. */
bool trailfile_take_line(struct span *rest, struct trailfile_line *line);

#endif
