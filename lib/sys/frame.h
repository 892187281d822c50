/*
 * Frames between a process and its child (lib/sys/child.h): a big-endian u32 length, at most FRAME_BYTES_MAX, and as many bytes.
 * One side sends, the other answers; nobody sends the next frame before this one is answered.
 */
#ifndef STELE_SYS_FRAME_H
#define STELE_SYS_FRAME_H

#include "lib/bytes.h"

enum { FRAME_BYTES_MAX = 16 << 20 };

/* Reads the next frame into `storage`, which is emptied first. False at the peer's end, for one that is too large, and where more
 * than one frame came. */
bool frame_read(int fd, struct buf *storage, struct span *frame);
/* Sends one, over a socket. False where the peer is gone: no signal is raised. */
bool frame_send(int fd, struct span bytes);
/* Writes one whose bytes lie behind FRAME_HEAD_BYTES of room for its length. */
enum { FRAME_HEAD_BYTES = 4 };
bool frame_write(int fd, struct buf *frame);

#endif
