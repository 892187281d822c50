/* A signed note: what parses splits into its text, a newline and lines that render to themselves. */
#include <assert.h>
#include <stdlib.h>

#include "lib/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct note note;
    struct note_sig sig;
    if (note_parse(&note, input, &why) != OK)
        return 0;
    assert(note.text.len + 1 + note.sig_lines.len == len);
    struct span rest = note.sig_lines;
    size_t lines = 0;
    while (note_next_sig(&rest, &sig)) {
        struct buf bytes = BUF_EMPTY, again = BUF_EMPTY;
        struct vkey key = { .name = sig.name, .id = sig.id };
        assert(base64_decode(sig.base64, &bytes) && bytes.len == 4 + sig.sig_bytes);
        note_sig_render(&again, &key, span_of(bytes.data + 4, sig.sig_bytes));
        assert(again.len == sig.line.len + 1 && memcmp(again.data, sig.line.data, sig.line.len) == 0);
        buf_free(&bytes);
        buf_free(&again);
        lines++;
    }
    assert(rest.len == 0 && lines > 0 && lines <= NOTE_SIGNATURES_MAX);
    return 0;
}
