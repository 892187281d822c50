#include "lib/bytes.h"

#include <stdio.h>
#include <stdlib.h>

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_is(struct span a, const char *text)
{
    return span_eq(a, span_str(text));
}

bool span_starts(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

bool span_ends(struct span s, const char *suffix)
{
    size_t len = strlen(suffix);
    return s.len >= len && memcmp(s.data + s.len - len, suffix, len) == 0;
}

int span_cmp(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t span_find(struct span s, uint8_t byte)
{
    const uint8_t *at = s.len == 0 ? NULL : memchr(s.data, byte, s.len);
    return at == NULL ? -1 : at - s.data;
}

bool span_line(struct span *rest, struct span *line)
{
    ptrdiff_t end = span_find(*rest, '\n');
    if (end < 0)
        return false;
    *line = span_of(rest->data, (size_t)end);
    *rest = span_cut(*rest, (size_t)end + 1, rest->len - (size_t)end - 1);
    return true;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

bool span_word(struct span *rest, struct span *word)
{
    size_t from = 0;
    while (from < rest->len && is_blank(rest->data[from]))
        from++;
    size_t to = from;
    while (to < rest->len && !is_blank(rest->data[to]))
        to++;
    *word = span_cut(*rest, from, to - from);
    *rest = span_cut(*rest, to, rest->len - to);
    return word->len > 0;
}

bool span_skip(struct span *rest, const char *prefix)
{
    if (!span_starts(*rest, prefix))
        return false;
    size_t len = strlen(prefix);
    *rest = span_cut(*rest, len, rest->len - len);
    return true;
}

bool span_decimal(struct span s, uint64_t max, uint64_t *out)
{
    if (s.len == 0 || (s.len > 1 && s.data[0] == '0'))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        uint64_t digit = s.data[i] - (uint64_t)'0';
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

size_t span_utf8_char(struct span s, uint32_t *out)
{
    uint8_t first = s.data[0];
    if (first < 0x80) {
        *out = first;
        return 1;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.len < len)
        return 0;
    uint32_t value = first & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s.data[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s.data[i] & 0x3fu);
    }
    static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (value < smallest[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *out = value;
    return len;
}

bool span_utf8(struct span s)
{
    while (s.len > 0) {
        uint32_t character;
        size_t len = span_utf8_char(s, &character);
        if (len == 0)
            return false;
        s = span_of(s.data + len, s.len - len);
    }
    return true;
}

/* Unicode's White_Space property, complete as of Unicode 16. */
static bool is_unicode_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool span_has_space_or_plus(struct span s)
{
    while (s.len > 0) {
        uint32_t character;
        size_t len = span_utf8_char(s, &character);
        if (len == 0 || character == '+' || is_unicode_space(character))
            return true;
        s = span_of(s.data + len, s.len - len);
    }
    return false;
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_EMPTY;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

uint8_t *buf_grow(struct buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    if (buf->data == NULL || buf->cap - buf->len < len) {
        if (len > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
            buf->failed = true;
            return NULL;
        }
        size_t cap = buf->cap < 64 ? 64 : buf->cap;
        while (cap - buf->len < len)
            cap *= 2;
        uint8_t *data = realloc(buf->data, cap);
        if (data == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    uint8_t *at = buf->data + buf->len;
    buf->len += len;
    return at;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    uint8_t *at = buf_grow(buf, len);
    if (at != NULL && len > 0)
        memcpy(at, data, len);
}

void buf_span(struct buf *buf, struct span s)
{
    buf_add(buf, s.data, s.len);
}

void buf_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_byte(struct buf *buf, uint8_t byte)
{
    buf_add(buf, &byte, 1);
}

void buf_fmt(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    uint8_t *at = len < 0 ? NULL : buf_grow(buf, (size_t)len + 1);
    if (at != NULL) {
        vsnprintf((char *)at, (size_t)len + 1, fmt, again);
        buf->len--;
    } else {
        buf->failed = true;
    }
    va_end(again);
}

enum err buf_done(const struct buf *buf, struct why *why)
{
    return buf->failed ? fail(why, ERR_ENV, "out of memory") : OK;
}

char *span_dup_str(struct span s)
{
    char *copy = malloc(s.len + 1);
    if (copy == NULL)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

void *array_more(void *items, size_t n, size_t item_bytes)
{
    return n > 0 && (n & (n - 1)) != 0 ? items : realloc(items, (n == 0 ? 1 : 2 * n) * item_bytes);
}

void put_be64(uint8_t out[8], uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

uint64_t get_be64(const uint8_t in[8])
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

void put_be32(uint8_t out[4], uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

uint32_t get_be32(const uint8_t in[4])
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | in[i];
    return value;
}
