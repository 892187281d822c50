#include "lib/checkpoint.h"

enum err checkpoint_parse(struct checkpoint *out, struct span text, struct why *why)
{
    struct span rest = text, size, root, line;
    if (!span_line(&rest, &out->origin) || out->origin.len == 0)
        return fail(why, ERR_MALFORMED,
                    "line 1 of the checkpoint, the origin, is missing or empty (tlog-checkpoint, \"Note text\")");
    if (!span_line(&rest, &size) || !span_decimal(size, TREE_SIZE_MAX, &out->size))
        return fail(why, ERR_MALFORMED, "line 2 of the checkpoint is not a tree size in decimal (tlog-checkpoint, \"Note text\")");
    if (!span_line(&rest, &root) || !base64_decode_to(root, out->root.b, sizeof out->root.b))
        return fail(why, ERR_MALFORMED, "line 3 of the checkpoint is not a root hash in base64 (tlog-checkpoint, \"Note text\")");
    out->extensions = rest;
    for (unsigned n = 4; rest.len > 0; n++)
        if (!span_line(&rest, &line) || line.len == 0)
            return fail(why, ERR_MALFORMED,
                        "line %u of the checkpoint, an extension line, is empty or cut (tlog-checkpoint, \"Note text\")", n);
    return OK;
}

void checkpoint_render(struct buf *out, const struct checkpoint *checkpoint)
{
    buf_span(out, checkpoint->origin);
    buf_fmt(out, "\n%llu\n", (unsigned long long)checkpoint->size);
    base64_encode(out, span_of(checkpoint->root.b, sizeof checkpoint->root.b));
    buf_byte(out, '\n');
    buf_span(out, checkpoint->extensions);
}

enum err checkpoint_open(struct checkpoint *out, const struct note *note, struct span origin, const struct vkey *keys, size_t n,
                         struct why *why)
{
    enum err err = checkpoint_parse(out, note->text, why);
    if (err != OK)
        return err;
    if (!span_eq(out->origin, origin))
        return fail(why, ERR_REFUSED, "the checkpoint's origin is %.*s, not %.*s", SPAN_FMT(out->origin), SPAN_FMT(origin));
    bool verified[POLICY_LOGS_MAX];
    if (n > POLICY_LOGS_MAX)
        return fail(why, ERR_ENV, "more than %d keys for one origin", POLICY_LOGS_MAX);
    err = note_verify(note, keys, n, verified, NULL, why);
    return err == OK ? OK : fail_in(why, err, "checkpoint of %.*s", SPAN_FMT(origin));
}
