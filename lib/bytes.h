/*
 * Spans (borrowed bytes) and growing buffers.
 *
 * A span never owns its bytes: whoever made it says how long they live. A buffer owns its bytes. A buffer that could
 * not grow becomes `failed` and ignores what is appended afterwards, so that a function that renders checks once, at
 * its end (buf_done).
 */
#ifndef STELE_BYTES_H
#define STELE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/why.h"

struct span {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

/* For printf("%.*s"): cut to what fits an int. */
#define SPAN_FMT(s) ((int)((s).len > 4096 ? 4096 : (s).len)), ((const char *)(s).data)
#define BUF_EMPTY   ((struct buf){ 0 })

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){ data, len };
}

static inline struct span span_str(const char *text)
{
    return (struct span){ (const uint8_t *)text, strlen(text) };
}

static inline struct span span_buf(const struct buf *buf)
{
    return (struct span){ buf->data, buf->len };
}

/* Bytes [from, from + len) of `s`; the caller has checked that they are there. */
static inline struct span span_cut(struct span s, size_t from, size_t len)
{
    return (struct span){ from == 0 ? s.data : s.data + from, len }; /* NULL + 0 is undefined */
}

bool span_eq(struct span a, struct span b);
bool span_is(struct span a, const char *text);
bool span_starts(struct span s, const char *prefix);
bool span_ends(struct span s, const char *suffix);
/* Orders as memcmp, a prefix before what it is a prefix of. */
int span_cmp(struct span a, struct span b);
/* The first `byte` in `s`, or -1. */
ptrdiff_t span_find(struct span s, uint8_t byte);

/* Takes the next line out of `rest`, without its newline. False at the end of the input, and where the last line has no
 * newline (then `rest` is not empty). */
bool span_line(struct span *rest, struct span *line);
/* Takes the next word, at spaces and tabs only, out of `rest`; false where none is left. */
bool span_word(struct span *rest, struct span *word);
/* Takes `prefix` off the front of `rest`; false, and nothing taken, where it does not stand there. */
bool span_skip(struct span *rest, const char *prefix);

/* A decimal number without sign, leading zeros or anything else, at most `max`. */
bool span_decimal(struct span s, uint64_t max, uint64_t *out);

/* Is `s` valid UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF)? */
bool span_utf8(struct span s);
/* The first character of `s`, which is not empty: its length, or 0 where it is no valid UTF-8. */
size_t span_utf8_char(struct span s, uint32_t *out);
/* Does `s` hold a character with the Unicode White_Space property, or a plus sign? Wants valid UTF-8. What a key name
 * must not have: signed-note, "Format". */
bool span_has_space_or_plus(struct span s);

void buf_free(struct buf *buf);
/* Empties the buffer and keeps its memory. */
void buf_clear(struct buf *buf);
/* Room for `len` more bytes, uninitialised, counted as appended; NULL where memory is short. */
uint8_t *buf_grow(struct buf *buf, size_t len);
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_span(struct buf *buf, struct span s);
void buf_str(struct buf *buf, const char *text);
void buf_byte(struct buf *buf, uint8_t byte);
void buf_fmt(struct buf *buf, const char *fmt, ...) STELE_PRINTF(2, 3);
/* OK, or ERR_ENV "out of memory" where an append failed. */
enum err buf_done(const struct buf *buf, struct why *why);

/* A copy that the caller frees; NULL where memory is short. `span_dup_str` ends it with a NUL. */
char *span_dup_str(struct span s);

/* Room for one item more after the first `n`: where they lie now, the place of `items` no more; NULL, and they stay, where memory
 * is short. Called before each item that is appended, and NULL before the first, it doubles at powers of two. */
void *array_more(void *items, size_t n, size_t item_bytes);

/* Fixed-width integers, big-endian as on disk and in cosignatures. */
void put_be64(uint8_t out[8], uint64_t value);
uint64_t get_be64(const uint8_t in[8]);
void put_be32(uint8_t out[4], uint32_t value);
uint32_t get_be32(const uint8_t in[4]);

#endif
