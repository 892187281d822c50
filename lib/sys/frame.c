#include "lib/sys/frame.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 16 << 10 }; /* at once: a frame is mostly smaller */

bool frame_read(int fd, struct buf *storage, struct span *frame)
{
    size_t want = FRAME_HEAD_BYTES;
    buf_clear(storage);
    while (storage->len < want) {
        size_t had = storage->len, room = want - had > READ_BYTES ? want - had : READ_BYTES;
        uint8_t *at = buf_grow(storage, room);
        ssize_t got = at == NULL ? 0 : read(fd, at, room);
        storage->len = had + (got > 0 ? (size_t)got : 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        if (storage->len >= FRAME_HEAD_BYTES)
            want = FRAME_HEAD_BYTES + (size_t)get_be32(storage->data);
        if (want > FRAME_HEAD_BYTES + (size_t)FRAME_BYTES_MAX || storage->len > want)
            return false;
    }
    *frame = span_cut(span_buf(storage), FRAME_HEAD_BYTES, want - FRAME_HEAD_BYTES);
    return true;
}

/* Length and bytes go at once: the child wakes once. */
bool frame_send(int fd, struct span bytes)
{
    uint8_t head[FRAME_HEAD_BYTES];
    struct iovec parts[2] = { { head, sizeof head }, { (void *)(uintptr_t)bytes.data, bytes.len } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    put_be32(head, (uint32_t)bytes.len);
    for (size_t left = sizeof head + bytes.len; left > 0;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        left -= (size_t)sent;
        for (size_t i = 0, rest = (size_t)sent; i < 2; i++) {
            size_t of_part = rest < parts[i].iov_len ? rest : parts[i].iov_len;
            parts[i].iov_base = (uint8_t *)parts[i].iov_base + of_part;
            parts[i].iov_len -= of_part;
            rest -= of_part;
        }
    }
    return true;
}

static bool write_exactly(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

bool frame_write(int fd, struct buf *frame)
{
    if (frame->failed || frame->len < FRAME_HEAD_BYTES || frame->len - FRAME_HEAD_BYTES > FRAME_BYTES_MAX)
        return false;
    put_be32(frame->data, (uint32_t)(frame->len - FRAME_HEAD_BYTES));
    return write_exactly(fd, frame->data, frame->len);
}
