/*
 * c2sp.org/tlog-checkpoint: the text of a log's signed head.
 */
#ifndef STELE_CHECKPOINT_H
#define STELE_CHECKPOINT_H

#include "lib/merkle.h"
#include "lib/note.h"

struct checkpoint {
    struct span origin;
    uint64_t size;
    struct hash root;
    struct span extensions; /* the extension lines, each with its newline; usually empty */
};

/* `text` is a note's text. ERR_MALFORMED, naming the line. A size above 2^63 - 1 is malformed. */
enum err checkpoint_parse(struct checkpoint *out, struct span text, struct why *why);
void checkpoint_render(struct buf *out, const struct checkpoint *checkpoint);

/* Parses `note` and verifies it under `keys` (n log keys, all of this `origin`). ERR_MALFORMED, or ERR_REFUSED where the
 * origin is another, no key signed, or a key's line fails. */
enum err checkpoint_open(struct checkpoint *out, const struct note *note, struct span origin, const struct vkey *keys, size_t n,
                         struct why *why);

#endif
