/*
 * Sources that could not be asked: a line "  NAME: TROUBLE" each, for whoever reads the report. A source that fails a thousand times
 * in one way is told once.
 */
#ifndef STELE_CLIENT_TROUBLES_H
#define STELE_CLIENT_TROUBLES_H

#include "lib/bytes.h"

/* Both add at most 64 KiB; where memory is short `troubles` says so by buf_done. The name: `what` and `name`. */
void troubles_note(struct buf *troubles, const char *what, struct span name, const struct why *trouble);
/* Lines that were noted elsewhere. */
void troubles_join(struct buf *troubles, struct span lines);

#endif
