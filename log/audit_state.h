/*
 * How far an auditor came with a remote log (spec/files.md, "An auditor's state").
 */
#ifndef STELE_LOG_AUDIT_STATE_H
#define STELE_LOG_AUDIT_STATE_H

#include "lib/head.h"

struct audit_state {
    struct head verified; /* the tree of the entries that were read and found right */
    struct span note;     /* the newest checkpoint that was seen, verbatim; borrows from the text */
};

/* ERR_MALFORMED, naming the line. The note is not looked into. */
enum err audit_state_parse(struct audit_state *out, struct span text, struct why *why);
void audit_state_render(struct buf *out, const struct audit_state *state);

#endif
