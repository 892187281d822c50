/* Shared by client/memory.c and client/memory_ask.c. */
#ifndef STELE_CLIENT_MEMORY_INTERNAL_H
#define STELE_CLIENT_MEMORY_INTERNAL_H

#include "client/memory.h"
#include "lib/forkfile.h"
#include "lib/memoryfile.h"

/* What is remembered; `out` borrows from `text`. Damage is told, and put aside: the memory then starts anew. */
enum err memory_load(const struct client_config *config, struct span origin, struct buf *text, struct memoryfile *out, bool *found,
                     struct why *why);
enum err memory_store(const struct client_config *config, const struct memoryfile *file, struct why *why);
/* Makes STATE/heads and locks it until *fd is closed. */
enum err memory_lock(const struct client_config *config, int *fd, struct why *why);
/* A fork under the quorum: keeps and tells it, ERR_REFUSED. OK where it is none: a note does not verify under the policy, whose key
 * for this log is another one than it was. */
enum err memory_fork_found(const struct client_config *config, struct forkfile *file, struct why *why);

#endif
