#include "lib/loglist.h"

enum err loglist_start(struct lines *lines, struct span text, const char *file, struct why *why)
{
    struct span line;
    enum err err = lines_start(lines, text, file, why);
    if (err == OK && (!lines_next(lines, &line) || !span_is(line, "logs/v0")))
        err = lines_fail(lines, why, "a log list starts with `logs/v0`");
    return err;
}

/* Is this line `key VALUE`? The value without the spaces around it. */
static bool take(struct span line, const char *key, struct span *value)
{
    struct span word;
    if (!span_word(&line, &word) || !span_is(word, key))
        return false;
    while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = span_cut(line, 1, line.len - 1);
    *value = line;
    return line.len > 0 && span_utf8(line);
}

enum err loglist_next(struct lines *lines, struct loglist_entry *out, bool *found, struct why *why)
{
    struct span line, vkey, qpd;
    *found = lines_next(lines, &line);
    if (!*found)
        return OK;
    *out = (struct loglist_entry){ .number = lines->number };
    if (!take(line, "vkey", &vkey))
        return lines_fail(lines, why, "not `vkey VKEY`");
    out->usable = vkey_parse(&out->key, vkey, SIG_ED25519, &out->why_not) == OK;
    bool more = lines_next(lines, &line);
    if (more && take(line, "origin", &out->origin))
        more = lines_next(lines, &line);
    if (more && take(line, "bastion", &out->bastion))
        more = lines_next(lines, &line);
    if (!more || !take(line, "qpd", &qpd) || !span_decimal(qpd, QPD_MAX, &out->qpd) || out->qpd == 0)
        return lines_fail(lines, why, "not `qpd NUMBER`, which follows on `vkey`, `origin` and `bastion`");
    if (!lines_next(lines, &line) || !take(line, "contact", &out->contact))
        return lines_fail(lines, why, "not `contact TEXT`, which follows on `qpd`");
    if (span_is(out->bastion, "none"))
        out->bastion = span_of(NULL, 0);
    if (out->origin.len == 0 || span_is(out->origin, "none"))
        out->origin = out->usable ? out->key.name : span_of(NULL, 0);
    return OK;
}
