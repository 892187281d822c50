#include "lib/trailfile.h"

#define HEAD "stele trails v1 "
enum { SUM_BYTES = 8 };

void trailfile_head(struct buf *out, const struct hash *rules)
{
    buf_str(out, HEAD);
    hex_encode(out, span_of(rules->b, sizeof rules->b));
    buf_byte(out, '\n');
}

bool trailfile_take_head(struct span *rest, const struct hash *rules)
{
    struct span at = *rest, line;
    struct hash hash;
    if (!span_line(&at, &line) || !span_skip(&line, HEAD) || !hex_decode(line, hash.b, sizeof hash.b) || !hash_eq(&hash, rules))
        return false;
    *rest = at;
    return true;
}

void trailfile_line(struct buf *out, const struct trailfile_line *line)
{
    size_t from = out->len;
    buf_span(out, line->path);
    buf_byte(out, ' ');
    hex_encode(out, span_of(line->nar_hash.b, sizeof line->nar_hash.b));
    buf_str(out, line->built ? " built" : " ground");
    buf_span(out, line->references);
    if (out->failed)
        return;
    struct hash sum = sha256_of(span_of(out->data + from, out->len - from));
    buf_byte(out, ' ');
    hex_encode(out, span_of(sum.b, SUM_BYTES));
    buf_byte(out, '\n');
}

/* " BASE BASE": nothing else. */
static bool references_ok(struct span rest)
{
    struct storepath path;
    while (rest.len > 0) {
        if (rest.data[0] != ' ')
            return false;
        rest = span_cut(rest, 1, rest.len - 1);
        ptrdiff_t space = span_find(rest, ' ');
        size_t len = space < 0 ? rest.len : (size_t)space;
        if (storepath_parse_base(&path, span_cut(rest, 0, len), NULL) != OK)
            return false;
        rest = span_cut(rest, len, rest.len - len);
    }
    return true;
}

static bool sum_ok(struct span *line)
{
    uint8_t sum[SUM_BYTES];
    if (line->len < 2 * SUM_BYTES + 1)
        return false;
    size_t len = line->len - 2 * SUM_BYTES - 1;
    struct hash hash = sha256_of(span_cut(*line, 0, len));
    bool ok = line->data[len] == ' ' && hex_decode(span_cut(*line, len + 1, 2 * SUM_BYTES), sum, SUM_BYTES) &&
              memcmp(sum, hash.b, SUM_BYTES) == 0;
    line->len = len;
    return ok;
}

bool trailfile_take_line(struct span *rest, struct trailfile_line *out)
{
    struct span at = *rest, line, hex;
    struct storepath path;
    if (!span_line(&at, &line) || !sum_ok(&line))
        return false;
    ptrdiff_t space = span_find(line, ' ');
    if (space < 0)
        return false;
    out->path = span_cut(line, 0, (size_t)space);
    line = span_cut(line, (size_t)space + 1, line.len - (size_t)space - 1);
    if (line.len < 64 || storepath_parse(&path, out->path, NULL) != OK)
        return false;
    hex = span_cut(line, 0, 64);
    line = span_cut(line, 64, line.len - 64);
    out->built = span_skip(&line, " built");
    if (!hex_decode(hex, out->nar_hash.b, sizeof out->nar_hash.b) || (!out->built && !span_skip(&line, " ground")) ||
        !references_ok(line))
        return false;
    out->references = line;
    *rest = at;
    return true;
}
