/* What a signer's process reads from the one that parses HTTP, whoever has taken that over: one frame, whole and alone, or none. */
#define _GNU_SOURCE /* memfd_create */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/sys/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len), frame;
    struct buf storage = BUF_EMPTY;
    int fd = memfd_create("frame", 0);
    assert(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    bool whole = len >= FRAME_HEAD_BYTES && get_be32(data) == len - FRAME_HEAD_BYTES;
    bool taken = frame_read(fd, &storage, &frame);
    /* What stands in the same input behind a short frame may be left for the next read. */
    assert(taken || !whole);
    if (taken)
        assert(get_be32(data) == frame.len && span_eq(frame, span_cut(input, FRAME_HEAD_BYTES, frame.len)));
    close(fd);
    buf_free(&storage);
    return 0;
}
