#include "lib/arena.h"

#include <stdlib.h>

enum { CHUNK_BYTES = 1 << 16, ALIGN = _Alignof(max_align_t) };

struct arena_chunk {
    struct arena_chunk *older;
    size_t used, cap;
    _Alignas(max_align_t) uint8_t bytes[];
};

void *arena_room(struct arena *arena, size_t len)
{
    struct arena_chunk *chunk = arena->newest;
    len = (len + ALIGN - 1) / ALIGN * ALIGN;
    if (chunk == NULL || chunk->cap - chunk->used < len) {
        size_t cap = len > CHUNK_BYTES ? len : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + cap);
        if (chunk == NULL)
            return NULL;
        *chunk = (struct arena_chunk){ .older = arena->newest, .cap = cap };
        arena->newest = chunk;
        arena->bytes += sizeof *chunk + cap;
    }
    void *room = chunk->bytes + chunk->used;
    chunk->used += len;
    return room;
}

struct span arena_dup(struct arena *arena, struct span s)
{
    uint8_t *copy = arena_room(arena, s.len + 1);
    if (copy == NULL)
        return span_of(NULL, 0);
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

void arena_free(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_chunk *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->bytes = 0;
}
