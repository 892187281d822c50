#include "lib/lines.h"

#include <stdio.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

enum err lines_start(struct lines *lines, struct span text, const char *file, struct why *why)
{
    *lines = (struct lines){ .rest = text, .file = file, .number = 1 };
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            return lines_fail(lines, why,
                              "the control character 0x%02x: only tab and newline are allowed (tlog-policy, \"Character set\")%s",
                              c, c == '\r' ? "; end lines in LF, not in CR LF" : "");
        lines->number += c == '\n';
    }
    lines->number = 0;
    return OK;
}

/* The last line may lack its newline, as all readers of such files take it. */
static bool next_line(struct lines *lines, struct span *line)
{
    if (span_line(&lines->rest, line))
        return true;
    *line = lines->rest;
    lines->rest = span_of(NULL, 0);
    return line->len > 0;
}

bool lines_next(struct lines *lines, struct span *line)
{
    while (next_line(lines, line)) {
        lines->number++;
        while (line->len > 0 && is_blank(line->data[0]))
            *line = span_of(line->data + 1, line->len - 1);
        while (line->len > 0 && is_blank(line->data[line->len - 1]))
            line->len--;
        if (line->len > 0 && line->data[0] != '#')
            return true;
    }
    return false;
}

enum err lines_strings(struct buf *text, const char **lines, size_t max, size_t *n, struct why *why)
{
    *n = 0;
    if (text->len == 0 || text->data[text->len - 1] != '\n' || memchr(text->data, '\0', text->len) != NULL)
        return fail(why, ERR_MALFORMED, "it is not lines of text");
    for (size_t from = 0, i = 0; i < text->len; i++) {
        if (text->data[i] != '\n')
            continue;
        if (*n == max)
            return fail(why, ERR_MALFORMED, "it has more than %zu lines", max);
        text->data[i] = '\0';
        lines[(*n)++] = (const char *)text->data + from;
        from = i + 1;
    }
    return OK;
}

enum err lines_fail(const struct lines *lines, struct why *why, const char *fmt, ...)
{
    char text[sizeof why->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail(why, ERR_MALFORMED, "%s line %u: %s", lines->file, lines->number, text);
}
