#include "client/delivery_report.h"

static const char *const words[] = { [DELIVERED_AT] = "delivered-at ", [DELIVERY_LOG] = "log ", [DELIVERY_WAITS] = "waits " };

bool delivery_line_parse(struct delivery_line *out, struct span line)
{
    *out = (struct delivery_line){ .word = DELIVERED_AT };
    if (span_skip(&line, words[DELIVERED_AT]))
        return span_decimal(line, INT64_MAX, &out->time_s);
    out->word = span_skip(&line, words[DELIVERY_LOG]) ? DELIVERY_LOG : DELIVERY_WAITS;
    if (out->word == DELIVERY_LOG) {
        ptrdiff_t space = span_find(line, ' ');
        if (space <= 0)
            return false;
        out->url = span_cut(line, 0, (size_t)space);
        line = span_cut(line, (size_t)space + 1, line.len - (size_t)space - 1);
    } else if (!span_skip(&line, words[DELIVERY_WAITS])) {
        return false;
    }
    out->why = line;
    return true;
}

void delivery_line_render(struct buf *out, const struct delivery_line *line)
{
    buf_str(out, words[line->word]);
    if (line->word == DELIVERED_AT)
        buf_fmt(out, "%llu", (unsigned long long)line->time_s);
    if (line->word == DELIVERY_LOG) {
        buf_span(out, line->url);
        buf_byte(out, ' ');
    }
    buf_span(out, line->why);
    buf_byte(out, '\n');
}
