#include "lib/logsfile.h"

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* What is left of a line, as an origin. */
static struct span trim(struct span rest)
{
    while (rest.len > 0 && blank(rest.data[0]))
        rest = span_cut(rest, 1, rest.len - 1);
    return rest;
}

static enum err take_log(struct lines *lines, struct span rest, struct logsfile_line *out, struct why *why)
{
    struct span vkey;
    struct why inner;
    if (!span_word(&rest, &vkey))
        return lines_fail(lines, why, "not `log VKEY [ORIGIN]`");
    if (vkey_parse(&out->key, vkey, SIG_ED25519, &inner) != OK)
        return lines_fail(lines, why, "%s", inner.text);
    rest = trim(rest);
    out->origin = rest.len > 0 ? rest : out->key.name;
    return OK;
}

enum err logsfile_next(struct lines *lines, struct logsfile_line *out, bool *found, struct why *why)
{
    struct span rest, word, number;
    enum err err = OK;
    *found = lines_next(lines, &rest);
    if (!*found)
        return OK;
    *out = (struct logsfile_line){ .number = lines->number };
    if (!span_word(&rest, &word))
        word = span_str("");
    if (span_is(word, "log")) {
        err = take_log(lines, rest, out, why);
    } else if (span_is(word, "limit")) {
        out->kind = LOGSFILE_LIMIT;
        if (!span_word(&rest, &number) || !span_decimal(number, QPD_MAX, &out->qpd) || out->qpd == 0)
            return lines_fail(lines, why, "not `limit QPD ORIGIN` with a number from 1 to %llu", QPD_MAX);
        out->origin = trim(rest);
    } else if (span_is(word, "removed")) {
        out->kind = LOGSFILE_REMOVED;
        out->origin = trim(rest);
    } else {
        return lines_fail(lines, why, "not `log VKEY [ORIGIN]`, `limit QPD ORIGIN` or `removed ORIGIN`");
    }
    if (err == OK && out->origin.len == 0)
        return lines_fail(lines, why, "the origin is missing");
    if (err == OK && !span_utf8(out->origin))
        return lines_fail(lines, why, "the origin is not valid UTF-8");
    return err;
}

enum err logsfile_render(struct buf *out, const struct logsfile_line *line, struct why *why)
{
    struct span origin = line->origin;
    bool ok = origin.len > 0 && span_utf8(origin) && !blank(origin.data[0]) && !blank(origin.data[origin.len - 1]);
    for (size_t i = 0; ok && i < origin.len; i++)
        ok = (origin.data[i] >= 0x20 || origin.data[i] == '\t') && origin.data[i] != 0x7f;
    if (!ok)
        return fail(why, ERR_MALFORMED, "an origin is a line of UTF-8 without control characters, not empty, no spaces around it");
    if (line->kind == LOGSFILE_LOG) {
        buf_str(out, "log ");
        vkey_render(out, &line->key);
    } else if (line->kind == LOGSFILE_LIMIT) {
        buf_fmt(out, "limit %llu", (unsigned long long)line->qpd);
    } else {
        buf_str(out, "removed");
    }
    if (line->kind != LOGSFILE_LOG || !span_eq(origin, line->key.name)) {
        buf_byte(out, ' ');
        buf_span(out, origin);
    }
    buf_byte(out, '\n');
    return buf_done(out, why);
}

static bool drops(const struct logsfile_line *line, struct span origin, unsigned kinds, const struct vkey *key)
{
    return (kinds & 1u << line->kind) != 0 && span_eq(line->origin, origin) &&
           (key == NULL || line->kind != LOGSFILE_LOG || memcmp(line->key.key, key->key, sizeof key->key) == 0);
}

void logsfile_without(struct buf *out, struct span text, struct span origin, unsigned kinds, const struct vkey *key,
                      size_t *dropped)
{
    *dropped = 0;
    while (text.len > 0) {
        ptrdiff_t newline = span_find(text, '\n');
        struct span raw = newline < 0 ? text : span_cut(text, 0, (size_t)newline + 1);
        struct lines one;
        struct logsfile_line line;
        bool found = false;
        text = span_cut(text, raw.len, text.len - raw.len);
        if (lines_start(&one, raw, "", NULL) == OK && logsfile_next(&one, &line, &found, NULL) == OK && found &&
            drops(&line, origin, kinds, key)) {
            ++*dropped;
            continue;
        }
        buf_span(out, raw);
        if (newline < 0)
            buf_byte(out, '\n');
    }
}
