/*
 * How often nothing was attested, by reason, and what was said last: STATE/counts, lines "REASON COUNT TIME SENTENCE" in the
 * order of reasons, TIME in POSIX seconds. `stele status` shows them.
 */
#ifndef STELE_CLIENT_COUNTS_H
#define STELE_CLIENT_COUNTS_H

#include "client/config.h"

struct count {
    struct span reason; /* a name of build_refusal_name, or "trouble": a full disk, an unreadable key … */
    uint64_t n, last_s;
    struct span sentence; /* the last time's */
};

/* Best effort, whole or not at all; several at once lose no count. The error is for who wants it. */
enum err counts_add(const struct client_config *config, const char *reason, const char *sentence, struct why *why);
/* Calls `each` for every reason counted so far. ERR_MALFORMED where the file is not ours. */
enum err counts_each(const struct client_config *config, enum err (*each)(void *ctx, const struct count *count, struct why *why),
                     void *ctx, struct why *why);

/* A line of the file, without its newline; and one with it. */
bool count_parse(struct count *out, struct span line);
void count_render(struct buf *out, const struct count *count);

#endif
