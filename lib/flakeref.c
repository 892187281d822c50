#include "lib/flakeref.h"

static bool is_revision(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
    return s.len == 40 || s.len == 64;
}

/* Takes what is before `byte` out of `rest`, and the byte; all of it where the byte is not there. */
static struct span take_until(struct span *rest, uint8_t byte)
{
    ptrdiff_t at = span_find(*rest, byte);
    struct span part = at < 0 ? *rest : span_cut(*rest, 0, (size_t)at);
    size_t skip = at < 0 ? rest->len : (size_t)at + 1;
    *rest = span_cut(*rest, skip, rest->len - skip);
    return part;
}

/* "scheme://user:token@host/…" without what is before the '@'. */
static void put_without_user(struct flakeref *out, struct span path)
{
    struct span rest = path;
    for (ptrdiff_t colon = span_find(rest, ':'); colon >= 0; colon = -1)
        rest = span_cut(rest, (size_t)colon + 1, rest.len - (size_t)colon - 1);
    if (rest.len < path.len && span_skip(&rest, "//")) {
        struct span after = rest, authority = take_until(&after, '/');
        size_t at = authority.len;
        while (at > 0 && authority.data[at - 1] != '@')
            at--;
        buf_span(&out->text, span_cut(path, 0, path.len - rest.len));
        buf_span(&out->text, span_cut(rest, at, rest.len - at));
        out->left_out |= at > 0;
    } else {
        buf_span(&out->text, path);
    }
}

/* Parameters that flake references have (Nix manual, "Flake references"): all others may be tokens. */
static bool is_known(struct span name)
{
    static const char *const names[] = { "dir",      "ref",     "rev",  "narHash", "lastModified", "submodules",  "shallow",
                                         "revCount", "allRefs", "host", "branch",  "name",         "exportIgnore" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(name, names[i]))
            return true;
    return false;
}

static void put_parameters(struct flakeref *out, struct span query)
{
    char before = '?';
    while (query.len > 0) {
        struct span parameter = take_until(&query, '&'), value = parameter, name = take_until(&value, '=');
        if (!is_known(name)) {
            out->left_out = true;
            continue;
        }
        buf_byte(&out->text, (uint8_t)before);
        buf_span(&out->text, parameter);
        before = '&';
        if (span_is(name, "rev") && is_revision(value))
            out->revision = value;
    }
}

enum err flakeref_parse(struct flakeref *out, struct span text, struct why *why)
{
    *out = (struct flakeref){ 0 };
    if (text.len == 0 || text.len > FLAKEREF_BYTES_MAX || !span_utf8(text))
        return fail(why, ERR_MALFORMED, "a flake reference is text of 1 to %d bytes", FLAKEREF_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] == 127)
            return fail(why, ERR_MALFORMED, "a flake reference has no spaces and no control characters");
    struct span rest = text, whole = take_until(&rest, '#');
    out->attribute = rest;
    struct span query = whole, path = take_until(&query, '?'), last = path;
    put_without_user(out, path);
    put_parameters(out, query);
    /* "github:OWNER/REPO/REV" */
    while (span_find(last, '/') >= 0)
        take_until(&last, '/');
    if (out->revision.len == 0 && is_revision(last))
        out->revision = last;
    enum err err = buf_done(&out->text, why);
    if (err != OK)
        flakeref_free(out);
    return err;
}

void flakeref_free(struct flakeref *ref)
{
    buf_free(&ref->text);
    *ref = (struct flakeref){ 0 };
}
