/* An auditor's state: what parses renders to the same bytes. */
#include <assert.h>

#include "log/audit_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct audit_state state;
    struct buf again = BUF_EMPTY;
    struct why why = { "" };
    if (audit_state_parse(&state, span_of(data, len), &why) != OK) {
        assert(why.text[0] != '\0');
        return 0;
    }
    assert(state.verified.size <= TREE_SIZE_MAX && state.note.len > 0);
    audit_state_render(&again, &state);
    assert(buf_done(&again, NULL) == OK && span_eq(span_buf(&again), span_of(data, len)));
    buf_free(&again);
    return 0;
}
