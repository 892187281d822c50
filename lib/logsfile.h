/*
 * A witness's DIR/logs: whose checkpoints it cosigns. Lines by the rules of lib/lines.h; ORIGIN is the rest of a line:
 *
 *   log VKEY [ORIGIN]      without ORIGIN, the key's name
 *   limit QPD ORIGIN       at most QPD checkpoints of this log a day
 *   removed ORIGIN         no log list may add it again
 *
 * Several `log` lines may name one origin: any of its keys may sign. A public key stands in one line only.
 */
#ifndef STELE_LOGSFILE_H
#define STELE_LOGSFILE_H

#include "lib/lines.h"
#include "lib/note.h"

#define QPD_MAX 1000000000000ull /* requests a day: more than any log can send */

enum logsfile_kind { LOGSFILE_LOG, LOGSFILE_LIMIT, LOGSFILE_REMOVED };

struct logsfile_line {
    enum logsfile_kind kind;
    struct vkey key; /* of a log */
    uint64_t qpd;    /* of a limit */
    struct span origin;
    unsigned number; /* of the line */
};

/* Takes the next entry out of `lines`; *found is false at the end. ERR_MALFORMED with file and line. That no key stands twice
 * is for the caller to see. */
enum err logsfile_next(struct lines *lines, struct logsfile_line *out, bool *found, struct why *why);

/* One line in its one form; a log's origin is left out where it is the key's name. ERR_MALFORMED for an origin that no line can
 * hold. */
enum err logsfile_render(struct buf *out, const struct logsfile_line *line, struct why *why);

/* Copies a file's lines, comments included, but for those of `origin` that are of a kind in `kinds` (a set of 1 << kind), and of
 * the `log` lines only that with `key` where it is not NULL. *dropped counts them. The text must be one that parses. */
void logsfile_without(struct buf *out, struct span text, struct span origin, unsigned kinds, const struct vkey *key,
                      size_t *dropped);

#endif
