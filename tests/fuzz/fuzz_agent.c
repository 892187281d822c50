/* What comes to the signing agent from anybody on the machine, which renders to itself, and what a hook takes for its answer. */
#include <assert.h>

#include "client/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct agent_request request;
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    struct why why = { "" };
    bool answered;
    buf_span(&text, input);
    enum err err = agent_request_parse(&request, &text, &why);
    if (err == OK) {
        agent_request_render(&again, &request.hooked);
        assert(span_eq(span_buf(&again), input));
    } else {
        assert(err == ERR_MALFORMED && why.text[0] != '\0');
    }
    err = agent_answer_parse(input, &answered, &why);
    assert(err == OK || err == ERR_REFUSED || err == ERR_ENV);
    assert((err == OK) == span_starts(input, "ok\n") && answered == (span_find(input, '\n') >= 0));
    buf_free(&text);
    buf_free(&again);
    return 0;
}
