/*
 * What was found complete before, by path and NAR hash, under one policy and one trust file: STATE/trails (spec/files.md, "The
 * trail memory"). Bounded; with another policy or trust file, or after a fork of one of its logs, it starts anew. What it loses
 * is found out again: nothing of it is synced.
 */
#ifndef STELE_CLIENT_TRAIL_MEMORY_H
#define STELE_CLIENT_TRAIL_MEMORY_H

#include "client/config.h"
#include "lib/trailfile.h"

struct trail_memory;

/* One version of a path. */
struct trail_remembered {
    struct trailfile_line line;
    const struct trail_remembered *next; /* of the same path */
};

/* `config` NULL: nothing is read or written. Where STATE cannot be written, what is there is read and nothing added. What is
 * written later goes through an open file, by write(2) alone: the gate's signer may do so behind its sandbox. ERR_ENV. */
enum err trail_memory_open(struct trail_memory **out, const struct client_config *config, const struct policy *policy,
                           const struct trust *trust, struct why *why);
void trail_memory_close(struct trail_memory *memory);
/* The versions of a path that were complete; NULL where there is none. */
const struct trail_remembered *trail_memory_find(const struct trail_memory *memory, struct span path);
/* Adds one; nothing where it is there already, or the memory is full. ERR_ENV where memory is short. */
enum err trail_memory_keep(struct trail_memory *memory, const struct trailfile_line *line, struct why *why);
/* Writes what was added. */
void trail_memory_flush(struct trail_memory *memory);

#endif
