/* Log lists: what parses has all its members, and each usable log fits into a logs file. */
#include <assert.h>

#include "lib/loglist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct lines lines;
    struct loglist_entry entry;
    struct why why = { "" };
    bool found = true;
    enum err err = loglist_start(&lines, span_of(data, len), "list", &why);
    while (err == OK && found) {
        err = loglist_next(&lines, &entry, &found, &why);
        if (err != OK || !found)
            continue;
        assert(entry.qpd >= 1 && entry.qpd <= QPD_MAX && entry.contact.len > 0);
        assert(entry.usable ? entry.origin.len > 0 : entry.why_not.text[0] != '\0');
        if (entry.usable) {
            struct buf text = BUF_EMPTY;
            struct logsfile_line line = { .kind = LOGSFILE_LOG, .key = entry.key, .origin = entry.origin };
            assert(logsfile_render(&text, &line, &why) == OK);
            line = (struct logsfile_line){ .kind = LOGSFILE_LIMIT, .qpd = entry.qpd, .origin = entry.origin };
            assert(logsfile_render(&text, &line, &why) == OK);
            buf_free(&text);
        }
    }
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    return 0;
}
