/*
 * Nix archives (NAR): a push parser that checks every byte of the form, and the framing for writing one.
 * Stricter than Nix 2.8, which does not check the order of names and ignores what follows the end.
 */
#ifndef STELE_NAR_H
#define STELE_NAR_H

#include "lib/hash.h"
#include "lib/limits.h"

struct nar_parser; /* opaque: a state machine with an explicit stack, O(depth) memory */

struct nar_parser *nar_parser_new(void); /* NULL where memory is short */
void nar_parser_free(struct nar_parser *parser);
/* Takes the next bytes, cut anywhere. ERR_MALFORMED with the offset at fault; ERR_ENV where memory is short. */
enum err nar_parser_feed(struct nar_parser *parser, struct span bytes, struct why *why);
/* ERR_MALFORMED unless exactly one whole archive was fed. */
enum err nar_parser_end(struct nar_parser *parser, struct why *why);

/* Writing: each appends to `out`. A file's contents go between nar_put_contents_start and nar_put_contents_end. */
void nar_put_start(struct buf *out); /* the magic */
void nar_put_contents_start(struct buf *out, bool executable, uint64_t size);
void nar_put_contents_end(struct buf *out, uint64_t size);
void nar_put_symlink(struct buf *out, struct span target);
void nar_put_directory_start(struct buf *out);
void nar_put_entry_start(struct buf *out, struct span name);
void nar_put_entry_end(struct buf *out);
void nar_put_directory_end(struct buf *out);

#endif
