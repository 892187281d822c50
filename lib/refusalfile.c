#include "lib/refusalfile.h"

void refusalfile_add(struct buf *out, const struct refusal *refusal)
{
    struct span rest = refusal->tree, line;
    buf_fmt(out, "%llu %s ", (unsigned long long)refusal->time_s, refusal->warned ? "warned" : "refused");
    buf_span(out, refusal->hash_part);
    buf_byte(out, ' ');
    buf_span(out, refusal->why);
    buf_byte(out, '\n');
    while (span_line(&rest, &line)) {
        buf_str(out, "  ");
        buf_span(out, line);
        buf_byte(out, '\n');
    }
}

/* The word before the next space. */
static bool take_word(struct span *rest, struct span *word)
{
    ptrdiff_t space = span_find(*rest, ' ');
    if (space <= 0)
        return false;
    *word = span_cut(*rest, 0, (size_t)space);
    *rest = span_cut(*rest, (size_t)space + 1, rest->len - (size_t)space - 1);
    return true;
}

static bool parse_header(struct span line, struct refusal *out)
{
    struct span word;
    if (!take_word(&line, &word) || !span_decimal(word, INT64_MAX, &out->time_s) || !take_word(&line, &word))
        return false;
    out->warned = span_is(word, "warned");
    if (!out->warned && !span_is(word, "refused"))
        return false;
    if (!take_word(&line, &out->hash_part))
        return false;
    out->why = line;
    return true;
}

bool refusalfile_next(struct span *rest, struct refusal *out)
{
    struct span line, ahead;
    do {
        if (!span_line(rest, &line))
            return false;
    } while (!parse_header(line, out));
    struct span start = ahead = *rest;
    while (span_line(&ahead, &line) && span_starts(line, "  "))
        *rest = ahead;
    out->tree = span_cut(start, 0, start.len - rest->len);
    return true;
}

struct span refusal_path(const struct refusal *refusal)
{
    struct span rest = refusal->tree, line;
    if (!span_line(&rest, &line) || !span_skip(&line, "  /"))
        return refusal->hash_part;
    ptrdiff_t colon = span_find(line, ':');
    return colon < 0 ? refusal->hash_part : span_of(line.data - 1, (size_t)colon + 1);
}
