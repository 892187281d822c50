/* A witness's logs file: each line that parses renders to a line that parses to the same, and can be taken out. */
#include <assert.h>

#include "lib/logsfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_rendered(const struct logsfile_line *line)
{
    struct buf text = BUF_EMPTY;
    struct lines lines;
    struct logsfile_line again;
    struct why why;
    bool found;
    assert(logsfile_render(&text, line, &why) == OK);
    assert(lines_start(&lines, span_buf(&text), "rendered", &why) == OK);
    assert(logsfile_next(&lines, &again, &found, &why) == OK && found);
    assert(again.kind == line->kind && again.qpd == line->qpd);
    assert(span_eq(again.origin, line->origin) && span_eq(again.key.name, line->key.name));
    assert(memcmp(again.key.key, line->key.key, 32) == 0 && again.key.id == line->key.id);
    assert(logsfile_next(&lines, &again, &found, &why) == OK && !found);
    buf_free(&text);
}

/* Without an origin's lines the file has just these fewer, and none of that origin's. */
static void check_without(struct span text, struct span origin)
{
    struct buf rest = BUF_EMPTY;
    struct lines lines;
    struct logsfile_line line;
    size_t dropped = 0, before = 0, after = 0;
    bool found = true;
    assert(lines_start(&lines, text, "whole", NULL) == OK);
    while (logsfile_next(&lines, &line, &found, NULL) == OK && found)
        before++;
    logsfile_without(&rest, text, origin, ~0u, NULL, &dropped);
    assert(dropped > 0 && lines_start(&lines, span_buf(&rest), "rest", NULL) == OK);
    for (found = true; logsfile_next(&lines, &line, &found, NULL) == OK && found; after++)
        assert(!span_eq(line.origin, origin));
    assert(!found && after + dropped == before);
    buf_free(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct lines lines;
    struct logsfile_line line;
    struct why why = { "" };
    struct span origin = span_of(NULL, 0);
    bool found = true;
    enum err err = lines_start(&lines, span_of(data, len), "logs", &why);
    while (err == OK && found) {
        err = logsfile_next(&lines, &line, &found, &why);
        if (err == OK && found) {
            check_rendered(&line);
            origin = line.origin;
        }
    }
    if (err == OK && origin.len > 0)
        check_without(span_of(data, len), origin);
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    return 0;
}
