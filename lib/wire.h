/*
 * The fields of a frame between a process and its signer (lib/sys/child.h): each a big-endian u32 length and the bytes.
 */
#ifndef STELE_WIRE_H
#define STELE_WIRE_H

#include "lib/bytes.h"

void wire_put(struct buf *out, struct span field);
void wire_put_u64(struct buf *out, uint64_t value);
/* Takes the next field out of `rest`; false, and `rest` spoilt, where it is cut. */
bool wire_take(struct span *rest, struct span *field);
bool wire_take_u64(struct span *rest, uint64_t *value);

#endif
