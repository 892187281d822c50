/* A flake reference: cleaned once is clean. */
#include <assert.h>

#include "lib/flakeref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct flakeref ref, again;
    if (flakeref_parse(&ref, span_of(data, len), NULL) != OK)
        return 0;
    if (ref.text.len > 0) {
        assert(flakeref_parse(&again, span_buf(&ref.text), NULL) == OK);
        assert(!again.left_out && span_eq(span_buf(&again.text), span_buf(&ref.text)));
        flakeref_free(&again);
    }
    flakeref_free(&ref);
    return 0;
}
