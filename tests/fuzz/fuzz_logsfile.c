/* A witness's logs file: each line that parses renders to a line that parses to the same. */
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
    assert(logsfile_render(&text, &line->key, line->origin, &why) == OK);
    assert(lines_start(&lines, span_buf(&text), "rendered", &why) == OK);
    assert(logsfile_next(&lines, &again, &found, &why) == OK && found);
    assert(span_eq(again.origin, line->origin) && span_eq(again.key.name, line->key.name));
    assert(memcmp(again.key.key, line->key.key, 32) == 0 && again.key.id == line->key.id);
    assert(logsfile_next(&lines, &again, &found, &why) == OK && !found);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct lines lines;
    struct logsfile_line line;
    struct why why = { "" };
    bool found = true;
    enum err err = lines_start(&lines, span_of(data, len), "logs", &why);
    while (err == OK && found) {
        err = logsfile_next(&lines, &line, &found, &why);
        if (err == OK && found)
            check_rendered(&line);
    }
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    return 0;
}
