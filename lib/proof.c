#include "lib/proof.h"

#define HEADER_LINE   "c2sp.org/tlog-proof@v1"
#define EM_DASH_SPACE "\xe2\x80\x94 "

/* The lines before the checkpoint. */
static enum err take_head(struct proof *out, struct span *rest, struct buf *extra, struct why *why)
{
    struct span line;
    if (!span_line(rest, &line) || !span_is(line, HEADER_LINE))
        return fail(why, ERR_MALFORMED, "line 1 of the proof is not %s (tlog-proof, \"Format\")", HEADER_LINE);
    if (!span_line(rest, &line))
        return fail(why, ERR_MALFORMED, "the proof ends after its first line");
    out->has_extra = span_skip(&line, "extra ");
    if (out->has_extra) {
        if (!base64_decode(line, extra))
            return extra->failed ? buf_done(extra, why) : fail(why, ERR_MALFORMED, "the proof's extra line is not base64");
        out->extra_base64 = line;
        if (!span_line(rest, &line))
            return fail(why, ERR_MALFORMED, "the proof ends after its extra line");
    }
    if (!span_skip(&line, "index ") || !span_decimal(line, TREE_SIZE_MAX, &out->index))
        return fail(why, ERR_MALFORMED, "the proof's index line is missing or not a decimal number (tlog-proof, \"Format\")");
    while (span_line(rest, &line) && line.len > 0) {
        if (out->n == PROOF_HASHES_MAX)
            return fail(why, ERR_MALFORMED, "the proof has more than %d hashes", PROOF_HASHES_MAX);
        if (!base64_decode_to(line, out->hashes[out->n].b, sizeof out->hashes->b))
            return fail(why, ERR_MALFORMED, "hash %zu of the proof is not the base64 of 32 bytes", out->n + 1);
        out->n++;
    }
    if (line.len > 0)
        return fail(why, ERR_MALFORMED, "the proof has no empty line before its checkpoint");
    return OK;
}

/* The checkpoint's length: its text up to the empty line, then signature lines as long as they start like one. */
static enum err checkpoint_length(struct span rest, size_t *len, struct why *why)
{
    struct span line, all = rest;
    bool text_ended = false;
    while (!text_ended && span_line(&rest, &line))
        text_ended = line.len == 0;
    if (!text_ended)
        return fail(why, ERR_MALFORMED, "the proof's checkpoint has no signatures");
    while (span_starts(rest, EM_DASH_SPACE) && span_line(&rest, &line))
        *len = all.len - rest.len;
    if (*len == 0)
        return fail(why, ERR_MALFORMED, "the proof's checkpoint has no signatures");
    return OK;
}

static enum err take_checkpoint(struct proof *out, struct span at, size_t len, struct span known, struct why *why)
{
    struct note note;
    struct checkpoint checkpoint;
    out->checkpoint = span_cut(at, 0, len);
    if (span_eq(out->checkpoint, known))
        return OK;
    enum err err = note_parse(&note, out->checkpoint, why);
    return err == OK ? checkpoint_parse(&checkpoint, note.text, why) : err;
}

bool proof_outline_next(struct proof_outline *out, struct span *rest)
{
    struct span at = *rest, line;
    size_t len = 0;
    if (!span_line(&at, &line) || !span_is(line, HEADER_LINE) || !span_line(&at, &line))
        return false;
    if (span_starts(line, "extra ") && !span_line(&at, &line))
        return false;
    if (!span_skip(&line, "index ") || !span_decimal(line, TREE_SIZE_MAX, &out->index))
        return false;
    while (line.len > 0)
        if (!span_line(&at, &line))
            return false;
    if (checkpoint_length(at, &len, NULL) != OK)
        return false;
    out->checkpoint = span_cut(at, 0, len);
    out->text = span_cut(*rest, 0, rest->len - at.len + len);
    *rest = span_cut(at, len, at.len - len);
    return true;
}

enum err proof_next_of_many(struct proof *out, struct span *rest, struct span known, struct buf *extra, struct why *why)
{
    struct span start = *rest, at = *rest;
    size_t len = 0;
    *out = (struct proof){ 0 };
    enum err err = take_head(out, &at, extra, why);
    if (err == OK)
        err = checkpoint_length(at, &len, why);
    if (err == OK)
        err = take_checkpoint(out, at, len, known, why);
    if (err != OK)
        return err;
    out->text = span_cut(start, 0, start.len - at.len + len);
    *rest = span_cut(at, len, at.len - len);
    return OK;
}

enum err proof_next(struct proof *out, struct span *rest, struct why *why)
{
    struct buf extra = BUF_EMPTY;
    enum err err = proof_next_of_many(out, rest, span_of(NULL, 0), &extra, why);
    buf_free(&extra);
    return err;
}

enum err proof_parse(struct proof *out, struct span text, struct why *why)
{
    struct span rest = text;
    if (text.len > PROOF_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "the proof has %zu bytes, more than %d", text.len, PROOF_BYTES_MAX);
    enum err err = proof_next(out, &rest, why);
    if (err == OK && rest.len > 0)
        err = fail(why, ERR_MALFORMED, "%zu bytes follow the proof's last signature line", rest.len);
    return err;
}

void proof_render(struct buf *out, const struct span *extra, uint64_t index, const struct hash *hashes, size_t n,
                  struct span checkpoint)
{
    buf_str(out, HEADER_LINE "\n");
    if (extra != NULL) {
        buf_str(out, "extra ");
        base64_encode(out, *extra);
        buf_byte(out, '\n');
    }
    buf_fmt(out, "index %llu\n", (unsigned long long)index);
    for (size_t i = 0; i < n; i++) {
        base64_encode(out, span_of(hashes[i].b, sizeof hashes[i].b));
        buf_byte(out, '\n');
    }
    buf_byte(out, '\n');
    buf_span(out, checkpoint);
}

bool proof_extra(const struct proof *proof, struct buf *out)
{
    return proof->has_extra && base64_decode(proof->extra_base64, out);
}

enum err proof_verify_inclusion(const struct proof *proof, const struct hash *leaf, const struct checkpoint *checkpoint,
                                struct why *why)
{
    enum err err = merkle_inclusion_verify(leaf, proof->index, checkpoint->size, proof->hashes, proof->n, &checkpoint->root, why);
    return err == OK ? OK : fail_in(why, err, "index %llu of %.*s", (unsigned long long)proof->index, SPAN_FMT(checkpoint->origin));
}

enum err proof_verify(const struct proof *proof, const struct hash *leaf, const struct policy *policy, struct policy_view *view,
                      struct why *why)
{
    enum err err = policy_check(policy, proof->checkpoint, view, NULL, why);
    return err == OK ? proof_verify_inclusion(proof, leaf, &view->checkpoint, why) : err;
}
