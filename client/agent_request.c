/* What a hook and the signing agent say to each other. Pure, so that it can be fuzzed: anybody may connect to the agent. */
#include "client/agent.h"

#include "lib/lines.h"

enum err agent_request_parse(struct agent_request *out, struct buf *text, struct why *why)
{
    size_t n;
    *out = (struct agent_request){ .lines = { NULL } };
    enum err err = lines_strings(text, out->lines, SUBJECTS_MAX + 2, &n, why);
    if (err != OK)
        return fail_in(why, err, "the request");
    struct span first = span_str(out->lines[0]);
    bool build = n >= 2 && span_skip(&first, "build");
    bool spaced = span_skip(&first, " ");
    const char *sandbox = spaced ? statement_sandbox(first) : NULL;
    build = build && (spaced ? sandbox != NULL : first.len == 0);
    if (!build && (n != 4 || strcmp(out->lines[0], "rebuild") != 0))
        return fail(why, ERR_MALFORMED, "the request is neither build [SANDBOX], DRV, OUTPUT… nor rebuild, DRV, PATH, PATH.check");
    out->hooked = (struct hooked){ .drv_path = out->lines[1], .outputs = out->lines + 2, .outputs_n = build ? n - 2 : 1 };
    out->hooked.sandbox = sandbox;
    out->hooked.check = build ? NULL : out->lines[3];
    return OK;
}

void agent_request_render(struct buf *out, const struct hooked *hooked)
{
    buf_str(out, hooked->check != NULL ? "rebuild" : "build");
    if (hooked->sandbox != NULL)
        buf_fmt(out, " %s", hooked->sandbox);
    buf_fmt(out, "\n%s\n", hooked->drv_path);
    for (size_t i = 0; i < hooked->outputs_n; i++)
        buf_fmt(out, "%s\n", hooked->outputs[i]);
    if (hooked->check != NULL)
        buf_fmt(out, "%s\n", hooked->check);
}

enum err agent_answer_parse(struct span text, bool *answered, struct why *why)
{
    struct span line;
    *answered = span_line(&text, &line);
    if (!*answered)
        return fail(why, ERR_ENV, "the signing agent did not answer");
    if (span_is(line, "ok"))
        return OK;
    enum err err = span_skip(&line, "refused ") ? ERR_REFUSED : ERR_ENV;
    span_skip(&line, "trouble ");
    return fail(why, err, "%.*s", SPAN_FMT(line));
}
