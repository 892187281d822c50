/*
 * What the client remembers of one log's heads (spec/files.md, "The head memory"): pure, so that it can be fuzzed;
 * client/memory.h does the reading and writing.
 *
 *   stele head memory v1
 *   origin ORIGIN
 *   shown SIZE         the largest size of the log's own /checkpoint; 0 where it was never asked
 *   head BYTES         of the note of the remembered head
 *   loose BYTES        0 to MEMORY_LOOSE_MAX lines, of notes that are not tied to it yet, by size
 *
 *   the notes, one after another
 */
#ifndef STELE_MEMORYFILE_H
#define STELE_MEMORYFILE_H

#include "lib/checkpoint.h"

enum {
    MEMORY_LOOSE_MAX = 64,            /* a cache's sidecars rest on a few heads; they are tied when the log answers */
    MEMORY_NOTE_BYTES_MAX = 64 << 10, /* a checkpoint under a hundred cosignatures has 12 KB */
    MEMORY_BYTES_MAX = (MEMORY_LOOSE_MAX + 2) * MEMORY_NOTE_BYTES_MAX,
};

struct memory_head {
    struct span note; /* verbatim */
    struct checkpoint checkpoint;
};

/* Borrows from the text. No two heads have one size: they would be a fork. */
struct memoryfile {
    struct span origin;
    uint64_t shown;
    struct memory_head head;
    struct memory_head loose[MEMORY_LOOSE_MAX]; /* by size */
    size_t loose_n;
};

/* A note whose checkpoint is of this origin; nothing is verified. ERR_MALFORMED. */
enum err memory_head_parse(struct memory_head *out, struct span note, struct span origin, struct why *why);
/* ERR_MALFORMED unless rendering gives `text` again. */
enum err memoryfile_parse(struct memoryfile *out, struct span text, struct why *why);
void memoryfile_render(struct buf *out, const struct memoryfile *file);

/* The head of this size, remembered or loose; NULL where there is none. */
const struct memory_head *memoryfile_find(const struct memoryfile *file, uint64_t size);
/* Of all loose heads the MEMORY_LOOSE_MAX largest stay: would one of this size? */
bool memoryfile_has_place(const struct memoryfile *file, uint64_t size);
/* Puts a loose head in its place, where no head of its size is there and it has one; where all are taken the smallest goes. */
void memoryfile_add(struct memoryfile *file, const struct memory_head *head);
void memoryfile_drop(struct memoryfile *file, size_t i);

#endif
