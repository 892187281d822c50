/*
 * A witness's DIR/logs: whose checkpoints it cosigns. Lines by the rules of lib/lines.h:
 *
 *   log VKEY [ORIGIN]      ORIGIN is the rest of the line; without it, the key's name
 *
 * Several lines may name one origin: any of its keys may sign. A public key stands in one line only.
 */
#ifndef STELE_LOGSFILE_H
#define STELE_LOGSFILE_H

#include "lib/lines.h"
#include "lib/note.h"

struct logsfile_line {
    struct vkey key;
    struct span origin;
    unsigned number; /* of the line */
};

/* Takes the next log out of `lines`; *found is false at the end. ERR_MALFORMED with file and line. That no key stands twice
 * is for the caller to see. */
enum err logsfile_next(struct lines *lines, struct logsfile_line *out, bool *found, struct why *why);

/* "log VKEY[ ORIGIN]\n", the origin where it is not the key's name. ERR_MALFORMED for one that no line can hold. */
enum err logsfile_render(struct buf *out, const struct vkey *key, struct span origin, struct why *why);

#endif
