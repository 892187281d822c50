/* A ticket that waits in the outbox: what is taken has outputs, no more than a statement has, and renders to itself. */
#include <assert.h>

#include "client/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    struct ticket ticket;
    struct why why = { "" };
    buf_add(&text, data, len);
    enum err err = ticket_parse(&ticket, &text, &why);
    if (err == OK) {
        assert(ticket.outputs_n > 0 && ticket.outputs_n <= SUBJECTS_MAX);
        ticket_render(&again, &ticket);
        assert(!again.failed && span_eq(span_buf(&again), span_of(data, len)));
    } else {
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
    }
    buf_free(&text);
    buf_free(&again);
    return 0;
}
