#include "lib/logsfile.h"

enum err logsfile_next(struct lines *lines, struct logsfile_line *out, bool *found, struct why *why)
{
    struct span rest, word, vkey;
    struct why inner;
    *found = lines_next(lines, &rest);
    if (!*found)
        return OK;
    if (!span_word(&rest, &word) || !span_is(word, "log") || !span_word(&rest, &vkey))
        return lines_fail(lines, why, "not `log VKEY [ORIGIN]`");
    if (vkey_parse(&out->key, vkey, SIG_ED25519, &inner) != OK)
        return lines_fail(lines, why, "%s", inner.text);
    while (rest.len > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t'))
        rest = span_cut(rest, 1, rest.len - 1);
    if (!span_utf8(rest))
        return lines_fail(lines, why, "the origin is not valid UTF-8");
    out->origin = rest.len > 0 ? rest : out->key.name;
    out->number = lines->number;
    return OK;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

enum err logsfile_render(struct buf *out, const struct vkey *key, struct span origin, struct why *why)
{
    bool ok = origin.len > 0 && span_utf8(origin) && !blank(origin.data[0]) && !blank(origin.data[origin.len - 1]);
    for (size_t i = 0; ok && i < origin.len; i++)
        ok = (origin.data[i] >= 0x20 || origin.data[i] == '\t') && origin.data[i] != 0x7f;
    if (!ok)
        return fail(why, ERR_MALFORMED, "an origin is a line of UTF-8 without control characters, not empty, no spaces around it");
    buf_str(out, "log ");
    vkey_render(out, key);
    if (!span_eq(origin, key->name)) {
        buf_byte(out, ' ');
        buf_span(out, origin);
    }
    buf_byte(out, '\n');
    return buf_done(out, why);
}
