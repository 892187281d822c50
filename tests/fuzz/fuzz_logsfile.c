/* A witness's logs file: each line that parses renders to a line that parses to the same, and can be taken out. */
#include <assert.h>
#include <stdlib.h>

#include "witness/logs_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LINES_MAX = 1000 }; /* each is held against each */

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

/* The file as a whole: every line of it that parses is found by its origin, and no key stands in two. */
static void check_whole(struct span text, size_t lines_n)
{
    struct logsfile_line *lines;
    struct why why = { "" };
    size_t n;
    enum err err = logs_parse(text, "logs", &lines, &n, &why);
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    if (err != OK)
        return;
    assert(n == lines_n);
    for (size_t i = 0; i < n; i++) {
        const struct logsfile_line *first = logs_lines_of(lines, n, lines[i].origin);
        assert(first != NULL && first <= &lines[i] && span_eq(first->origin, lines[i].origin));
        for (size_t k = 0; k < i; k++)
            assert(lines[i].kind != LOGSFILE_LOG || lines[k].kind != LOGSFILE_LOG ||
                   memcmp(lines[i].key.key, lines[k].key.key, sizeof lines[i].key.key) != 0);
    }
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct lines lines;
    struct logsfile_line line;
    struct why why = { "" };
    struct span origin = span_of(NULL, 0);
    bool found = true;
    size_t n = 0;
    enum err err = lines_start(&lines, span_of(data, len), "logs", &why);
    while (err == OK && found) {
        err = logsfile_next(&lines, &line, &found, &why);
        if (err == OK && found) {
            check_rendered(&line);
            origin = line.origin;
            n++;
        }
    }
    if (n < LINES_MAX)
        check_whole(span_of(data, len), n);
    if (err == OK && origin.len > 0)
        check_without(span_of(data, len), origin);
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    return 0;
}
