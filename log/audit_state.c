#include "log/audit_state.h"

#include "lib/encode.h"

#define TITLE "stele audit v1"

/* "verified SIZE ROOT" */
static bool take_head(struct span line, struct head *out)
{
    if (!span_skip(&line, "verified "))
        return false;
    ptrdiff_t space = span_find(line, ' ');
    if (space < 0 || !span_decimal(span_cut(line, 0, (size_t)space), TREE_SIZE_MAX, &out->size))
        return false;
    struct span root = span_cut(line, (size_t)space + 1, line.len - (size_t)space - 1);
    return base64_decode_to(root, out->root.b, sizeof out->root.b);
}

enum err audit_state_parse(struct audit_state *out, struct span text, struct why *why)
{
    struct span line;
    *out = (struct audit_state){ 0 };
    if (!span_line(&text, &line) || !span_is(line, TITLE))
        return fail(why, ERR_MALFORMED, "line 1 is not `" TITLE "`");
    if (!span_line(&text, &line) || !take_head(line, &out->verified))
        return fail(why, ERR_MALFORMED, "line 2 is not `verified SIZE ROOT`");
    if (!span_line(&text, &line) || line.len > 0)
        return fail(why, ERR_MALFORMED, "line 3 is not empty");
    if (text.len == 0)
        return fail(why, ERR_MALFORMED, "there is no checkpoint after line 3");
    out->note = text;
    return OK;
}

void audit_state_render(struct buf *out, const struct audit_state *state)
{
    buf_fmt(out, TITLE "\nverified %llu ", (unsigned long long)state->verified.size);
    base64_encode(out, span_of(state->verified.root.b, sizeof state->verified.root.b));
    buf_str(out, "\n\n");
    buf_span(out, state->note);
}
