/* A letter of the outbox: one that is taken ends with an envelope, and is about the paths of its statement. */
#include <assert.h>

#include "client/letters.h"
#include "lib/dsse.h"
#include "lib/storepath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct letter *letter, struct span lines)
{
    struct span line, last = lines;
    struct envelope envelope;
    struct buf payload = BUF_EMPTY;
    struct storepath path;
    struct why why;
    while (span_line(&lines, &line))
        last = line;
    assert(lines.len == 0 && envelope_parse(&envelope, last, &payload, &why) == OK);
    assert(letter->parts_n > 0 && letter->parts_n <= SUBJECTS_MAX);
    assert(storepath_parse(&path, span_str(letter->subject), &why) == OK);
    assert(memcmp(path.hash_part.data, letter->parts[0], sizeof letter->parts[0]) == 0);
    buf_free(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct letter letter = { 0 };
    struct why why = { "" };
    enum err err = letter_open(&letter, span_of(data, len), &why);
    if (err == OK)
        check(&letter, span_of(data, len));
    else
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
    letter_free(&letter);
    return 0;
}
