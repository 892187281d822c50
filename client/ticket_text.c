/* A ticket's file. Pure, so that it can be fuzzed: whoever may write the outbox may write one. */
#include "client/ticket.h"

#include "lib/lines.h"

#define SANDBOX_WORD "sandbox "

enum err ticket_parse(struct ticket *out, struct buf *text, struct why *why)
{
    size_t n;
    *out = (struct ticket){ .lines = { NULL } };
    enum err err = lines_strings(text, out->lines, SUBJECTS_MAX + 2, &n, why);
    if (err != OK)
        return err;
    struct span last = span_str(out->lines[n - 1]);
    if (span_skip(&last, SANDBOX_WORD)) {
        out->sandbox = statement_sandbox(last);
        if (out->sandbox == NULL)
            return fail(why, ERR_MALFORMED, "it names no setting of Nix's sandbox");
        n--;
    }
    if (n < 2)
        return fail(why, ERR_MALFORMED, "it names no output");
    if (n > SUBJECTS_MAX + 1)
        return fail(why, ERR_MALFORMED, "it names more than %d outputs", SUBJECTS_MAX);
    out->drv_path = out->lines[0];
    out->outputs = out->lines + 1;
    out->outputs_n = n - 1;
    return OK;
}

void ticket_render(struct buf *out, const struct ticket *ticket)
{
    buf_fmt(out, "%s\n", ticket->drv_path);
    for (size_t i = 0; i < ticket->outputs_n; i++)
        buf_fmt(out, "%s\n", ticket->outputs[i]);
    if (ticket->sandbox != NULL)
        buf_fmt(out, SANDBOX_WORD "%s\n", ticket->sandbox);
}
