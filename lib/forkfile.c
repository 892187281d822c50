#include "lib/forkfile.h"

static enum err malformed(struct why *why, const char *what)
{
    return fail(why, ERR_MALFORMED, "%s (spec/witness.md, \"Evidence\")", what);
}

/* The line `WORD VALUE`, taken where it stands next. */
static bool take(struct span *rest, const char *word, struct span *value)
{
    struct span after = *rest, line;
    if (!span_line(&after, &line) || !span_skip(&line, word) || !span_skip(&line, " "))
        return false;
    *value = line;
    *rest = after;
    return true;
}

static bool take_hash(struct span *rest, const char *word, struct hash *out)
{
    struct span value, after = *rest;
    if (!take(&after, word, &value) || !base64_decode_to(value, out->b, sizeof out->b))
        return false;
    *rest = after;
    return true;
}

static enum err take_keys(struct span *rest, struct forkfile *out, struct why *why)
{
    struct span value;
    while (take(rest, "key", &value)) {
        if (out->keys_n == FORKFILE_KEYS_MAX)
            return malformed(why, "more than 64 keys");
        if (vkey_parse(&out->keys[out->keys_n++], value, SIG_ED25519, why) != OK)
            return ERR_MALFORMED;
    }
    return out->keys_n > 0 ? OK : malformed(why, "no `key` line after `origin`");
}

static enum err take_front(struct span *rest, struct forkfile *out, uint64_t lens[2], struct why *why)
{
    struct span line, value;
    if (!span_line(rest, &line) || (!span_is(line, "stele evidence v1") && !span_is(line, "stele suspect v1")))
        return malformed(why, "it does not start with `stele evidence v1` or `stele suspect v1`");
    out->suspect = span_is(line, "stele suspect v1");
    if (!take(rest, "origin", &out->origin) || out->origin.len == 0)
        return malformed(why, "no `origin` line");
    enum err err = take_keys(rest, out, why);
    for (size_t i = 0; i < 2 && err == OK; i++)
        if (!take(rest, i == 0 ? "first" : "second", &value) || !span_decimal(value, NOTE_BYTES_MAX, &lens[i]))
            err = malformed(why, "no `first BYTES` and `second BYTES` lines");
    return err;
}

enum err forkfile_parse(struct forkfile *out, struct span text, struct why *why)
{
    struct span rest = text, line;
    uint64_t lens[2];
    *out = (struct forkfile){ 0 };
    enum err err = take_front(&rest, out, lens, why);
    if (err != OK)
        return err;
    out->has_root = !out->suspect && take_hash(&rest, "root", &out->root);
    while (out->has_root && out->proof_n < PROOF_HASHES_MAX && take_hash(&rest, "proof", &out->proof[out->proof_n]))
        out->proof_n++;
    if (!span_line(&rest, &line) || line.len != 0)
        return malformed(why, "no empty line before the notes, or a line there that does not belong");
    if (rest.len != lens[0] + lens[1])
        return malformed(why, "the notes have not the lengths that are given");
    out->notes[0] = span_cut(rest, 0, lens[0]);
    out->notes[1] = span_cut(rest, lens[0], lens[1]);
    return OK;
}

static void put_hash(struct buf *out, const char *word, const struct hash *hash)
{
    buf_fmt(out, "%s ", word);
    base64_encode(out, span_of(hash->b, sizeof hash->b));
    buf_byte(out, '\n');
}

void forkfile_render(struct buf *out, const struct forkfile *file)
{
    buf_fmt(out, "stele %s v1\norigin ", file->suspect ? "suspect" : "evidence");
    buf_span(out, file->origin);
    buf_byte(out, '\n');
    for (size_t i = 0; i < file->keys_n; i++) {
        buf_str(out, "key ");
        vkey_render(out, &file->keys[i]);
        buf_byte(out, '\n');
    }
    buf_fmt(out, "first %zu\nsecond %zu\n", file->notes[0].len, file->notes[1].len);
    if (file->has_root)
        put_hash(out, "root", &file->root);
    for (size_t i = 0; file->has_root && i < file->proof_n; i++)
        put_hash(out, "proof", &file->proof[i]);
    buf_byte(out, '\n');
    buf_span(out, file->notes[0]);
    buf_span(out, file->notes[1]);
}

enum err forkfile_verify(const struct forkfile *file, struct checkpoint heads[2], struct why *why)
{
    for (size_t i = 0; i < 2; i++) {
        struct note note;
        enum err err = note_parse(&note, file->notes[i], why);
        if (err == OK)
            err = checkpoint_open(&heads[i], &note, file->origin, file->keys, file->keys_n, why);
        if (err != OK)
            return fail_in(why, err, "the %s head", i == 0 ? "first" : "second");
    }
    if (file->suspect)
        return OK;
    if (heads[0].size == heads[1].size && !file->has_root)
        return hash_eq(&heads[0].root, &heads[1].root) ? fail(why, ERR_REFUSED, "both heads have the same size and root") : OK;
    if (heads[0].size >= heads[1].size || !file->has_root)
        return fail(why, ERR_REFUSED, "heads of %llu and %llu entries need, in this order, a proof of what the root was",
                    (unsigned long long)heads[0].size, (unsigned long long)heads[1].size);
    enum err err =
        merkle_consistency_verify(heads[0].size, &file->root, heads[1].size, &heads[1].root, file->proof, file->proof_n, why);
    if (err == OK && hash_eq(&file->root, &heads[0].root))
        err = fail(why, ERR_REFUSED, "the larger head is proven to extend the smaller one");
    return err;
}
