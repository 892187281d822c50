#include "lib/sys/gzip.h"

#include <strings.h>

#include <zlib.h>

enum { LEVEL = 1, GZIP_WINDOW = 15 + 16, MEMORY = 8 };

enum err gzip_pack(struct buf *out, struct span data, struct why *why)
{
    z_stream stream = { 0 };
    if (data.len > UINT32_MAX || deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return fail(why, ERR_ENV, "zlib: out of memory");
    size_t before = out->len, bound = deflateBound(&stream, data.len);
    uint8_t *room = buf_grow(out, bound);
    int code = Z_MEM_ERROR;
    if (room != NULL) {
        stream.next_in = (Bytef *)(uintptr_t)data.data;
        stream.avail_in = (uInt)data.len;
        stream.next_out = room;
        stream.avail_out = (uInt)bound;
        code = deflate(&stream, Z_FINISH);
        out->len = before + stream.total_out;
    }
    deflateEnd(&stream);
    return code == Z_STREAM_END ? OK : fail(why, ERR_ENV, "zlib: out of memory");
}

/* "0", "0.25", "1.000": in thousandths; -1 for anything else. */
static int parse_weight(struct span text)
{
    static const int scale[] = { 100, 10, 1 };
    if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1') || (text.len > 1 && text.data[1] != '.'))
        return -1;
    int weight = 1000 * (text.data[0] - '0');
    for (size_t i = 2; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        weight += scale[i - 2] * (text.data[i] - '0');
    }
    return weight <= 1000 ? weight : -1;
}

static struct span trim(struct span text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_cut(text, 1, text.len - 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes what stands before `byte`, which goes too, or all. */
static struct span take_until(struct span *rest, uint8_t byte)
{
    ptrdiff_t at = span_find(*rest, byte);
    struct span part = at < 0 ? *rest : span_cut(*rest, 0, (size_t)at);
    *rest = at < 0 ? span_cut(*rest, rest->len, 0) : span_cut(*rest, (size_t)at + 1, rest->len - (size_t)at - 1);
    return trim(part);
}

static bool is_coding(struct span coding, const char *name)
{
    return coding.len == strlen(name) && strncasecmp((const char *)coding.data, name, coding.len) == 0;
}

bool gzip_asked(const char *accept_encoding)
{
    struct span rest = span_str(accept_encoding == NULL ? "" : accept_encoding);
    int gzip = -1, any = -1, identity = -1;
    while (rest.len > 0) {
        struct span item = take_until(&rest, ','), coding = take_until(&item, ';'), weight = take_until(&item, ';');
        int value = 1000;
        if (weight.len > 0)
            value = weight.len > 2 && (weight.data[0] | 0x20) == 'q' && weight.data[1] == '='
                        ? parse_weight(span_cut(weight, 2, weight.len - 2))
                        : -1;
        if (value < 0 || item.len > 0)
            return false;
        if (is_coding(coding, "gzip") || is_coding(coding, "x-gzip"))
            gzip = value;
        else if (is_coding(coding, "identity"))
            identity = value;
        else if (is_coding(coding, "*"))
            any = value;
    }
    int wanted = gzip >= 0 ? gzip : any;
    return wanted > 0 && wanted >= identity;
}
