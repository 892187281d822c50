/*
 * Bytes that live until all of them are freed at once: for tables of many small strings.
 */
#ifndef STELE_ARENA_H
#define STELE_ARENA_H

#include "lib/bytes.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *newest;
    size_t bytes; /* taken from the system */
};

/* A copy, with a NUL after it that is not counted; data is NULL where memory is short. */
struct span arena_dup(struct arena *arena, struct span s);
/* Room for `len` bytes, zeroed, aligned for any type; NULL where memory is short. */
void *arena_room(struct arena *arena, size_t len);
void arena_free(struct arena *arena);

#endif
