#include "lib/cosignature.h"

void cosignature_message(struct buf *out, uint64_t time_s, struct span text)
{
    buf_fmt(out, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    buf_span(out, text);
}

/* One cosignature by `key` over `text`. ERR_REFUSED where it fails. */
static enum err verify_one(const struct note_sig *sig, const struct vkey *key, struct span text, uint64_t *time_s, struct why *why)
{
    uint8_t bytes[COSIGNATURE_BYTES];
    if (!note_sig_bytes(sig, bytes, sizeof bytes))
        return fail(why, ERR_REFUSED, "the cosignature by %.*s has not %d bytes", SPAN_FMT(key->name), COSIGNATURE_BYTES);
    *time_s = get_be64(bytes);
    if (*time_s > INT64_MAX)
        return fail(why, ERR_REFUSED, "the cosignature by %.*s has a time above 2^63 - 1 (tlog-cosignature, \"Format\")",
                    SPAN_FMT(key->name));
    struct buf message = BUF_EMPTY;
    cosignature_message(&message, *time_s, text);
    enum err err = buf_done(&message, why);
    if (err == OK && !ed25519_verify(bytes + 8, span_buf(&message), key->key))
        err = fail(why, ERR_REFUSED, "the cosignature by %.*s does not verify", SPAN_FMT(key->name));
    buf_free(&message);
    return err;
}

enum err cosignature_verify(const struct note *note, const struct vkey *keys, size_t n, bool *verified, uint64_t *time_s,
                            struct why *why)
{
    for (size_t i = 0; i < n; i++) {
        verified[i] = false;
        time_s[i] = 0;
    }
    struct span rest = note->sig_lines;
    struct note_sig sig;
    while (note_next_sig(&rest, &sig))
        for (size_t i = 0; i < n; i++) {
            uint64_t at_s;
            if (keys[i].type != SIG_COSIGNATURE || !note_sig_is_by(&sig, &keys[i]) || note_sig_repeated(note, &sig))
                continue;
            enum err err = verify_one(&sig, &keys[i], note->text, &at_s, why);
            if (err != OK)
                return err;
            verified[i] = true;
            if (at_s > time_s[i])
                time_s[i] = at_s;
        }
    return OK;
}

enum err cosignature_from_reply(struct span reply, struct span text, const struct vkey *key, struct buf *line, uint64_t *time_s,
                                struct why *why)
{
    /* A note of the text and the reply's lines has exactly the form that is wanted of them. */
    struct buf joined = BUF_EMPTY;
    struct note note = { 0 };
    struct note_sig sig;
    bool found = false;
    buf_span(&joined, text);
    buf_byte(&joined, '\n');
    buf_span(&joined, reply);
    enum err err = buf_done(&joined, why);
    if (err == OK)
        err = note_parse(&note, span_buf(&joined), why);
    if (err == OK && !span_eq(note.text, text))
        err = fail(why, ERR_MALFORMED, "the witness's answer is more than signature lines");
    struct span rest = err == OK ? note.sig_lines : span_of(NULL, 0);
    while (err == OK && !found && note_next_sig(&rest, &sig))
        found = note_sig_is_by(&sig, key);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "the witness's answer has no cosignature by %.*s", SPAN_FMT(key->name));
    if (err == OK)
        err = verify_one(&sig, key, text, time_s, why);
    if (err == OK && *time_s == 0)
        err = fail(why, ERR_REFUSED, "the cosignature by %.*s has no time (tlog-witness, \"add-checkpoint\")", SPAN_FMT(key->name));
    if (err == OK) {
        buf_span(line, sig.line);
        buf_byte(line, '\n');
        err = buf_done(line, why);
    }
    buf_free(&joined);
    return err;
}
