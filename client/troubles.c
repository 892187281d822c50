#include "client/troubles.h"

enum { TROUBLES_BYTES_MAX = 64 << 10 };

void troubles_join(struct buf *troubles, struct span lines)
{
    struct span line, other;
    while (troubles->len < TROUBLES_BYTES_MAX && span_line(&lines, &line)) {
        struct span rest = span_buf(troubles);
        bool told = false;
        while (!told && span_line(&rest, &other))
            told = span_eq(line, other);
        if (!told)
            buf_fmt(troubles, "%.*s\n", SPAN_FMT(line));
    }
}

void troubles_note(struct buf *troubles, const char *what, struct span name, const struct why *trouble)
{
    struct buf line = BUF_EMPTY;
    buf_fmt(&line, "  %s%.*s: %s\n", what, SPAN_FMT(name), trouble->text);
    troubles->failed |= line.failed;
    troubles_join(troubles, span_buf(&line));
    buf_free(&line);
}
