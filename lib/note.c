#include "lib/note.h"

#define EM_DASH_SPACE "\xe2\x80\x94 "

bool key_name_ok(struct span name)
{
    if (name.len == 0 || !span_utf8(name) || span_has_space_or_plus(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] < 0x20)
            return false;
    return true;
}

uint32_t key_id(struct span name, uint8_t type, const uint8_t key[32])
{
    uint8_t between[2] = { '\n', type };
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, name.data, name.len);
    sha256_add(&state, between, sizeof between);
    sha256_add(&state, key, 32);
    struct hash hash = sha256_end(&state);
    return get_be32(hash.b);
}

struct vkey vkey_make(struct span name, enum sig_type type, const uint8_t key[32])
{
    struct vkey out = { .name = name, .id = key_id(name, (uint8_t)type, key), .type = (uint8_t)type };
    memcpy(out.key, key, sizeof out.key);
    return out;
}

enum err vkey_parse(struct vkey *out, struct span text, enum sig_type want, struct why *why)
{
    ptrdiff_t first = span_find(text, '+');
    if (span_starts(text, "PRIVATE+KEY+"))
        return fail(why, ERR_MALFORMED, "this is a secret key, which nobody else may see: its vkey is in its .pub file");
    if (first < 0)
        return fail(why, ERR_MALFORMED, "a vkey is NAME+ID+KEY (signed-note, \"Verifier keys\")");
    struct span name = span_cut(text, 0, (size_t)first), rest = span_cut(text, (size_t)first + 1, text.len - (size_t)first - 1);
    ptrdiff_t second = span_find(rest, '+');
    if (second < 0)
        return fail(why, ERR_MALFORMED, "a vkey is NAME+ID+KEY (signed-note, \"Verifier keys\")");
    struct span id = span_cut(rest, 0, (size_t)second), key = span_cut(rest, (size_t)second + 1, rest.len - (size_t)second - 1);
    uint8_t id_bytes[4], key_bytes[33];
    if (!key_name_ok(name))
        return fail(why, ERR_MALFORMED, "the vkey's name is empty, or has a space, a plus or a control character in it");
    if (!hex_decode(id, id_bytes, sizeof id_bytes))
        return fail(why, ERR_MALFORMED, "the vkey's ID is not eight lower-case hexadecimal digits");
    if (!base64_decode_to(key, key_bytes, sizeof key_bytes))
        return fail(why, ERR_MALFORMED,
                    "the vkey's key is not the base64 of a type byte and 32 bytes (only Ed25519 keys are supported)");
    if (key_bytes[0] != want)
        return fail(why, ERR_MALFORMED, "the vkey has signature type 0x%02x, wanted 0x%02x (%s)", key_bytes[0], (unsigned)want,
                    want == SIG_ED25519 ? "a log's or builder's key" : "a witness's key");
    *out = vkey_make(name, want, key_bytes + 1);
    if (out->id != get_be32(id_bytes))
        return fail(why, ERR_MALFORMED, "the vkey's ID is not that of its name and key: it should be %08x", (unsigned)out->id);
    return OK;
}

void vkey_render(struct buf *out, const struct vkey *key)
{
    uint8_t bytes[33];
    bytes[0] = key->type;
    memcpy(bytes + 1, key->key, 32);
    buf_span(out, key->name);
    buf_fmt(out, "+%08x+", (unsigned)key->id);
    base64_encode(out, span_of(bytes, sizeof bytes));
}

struct hash vkey_hash(const struct vkey *key)
{
    /* The rendered form, fed piece by piece: no allocation that could fail. */
    static const char digits[] = "0123456789abcdef";
    uint8_t id[10] = { '+' }, bytes[33], base64[44];
    for (int i = 0; i < 8; i++)
        id[1 + i] = (uint8_t)digits[key->id >> (28 - 4 * i) & 15];
    id[9] = '+';
    bytes[0] = key->type;
    memcpy(bytes + 1, key->key, 32);
    base64_encode_to(span_of(bytes, sizeof bytes), base64);
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, key->name.data, key->name.len);
    sha256_add(&state, id, sizeof id);
    sha256_add(&state, base64, sizeof base64);
    return sha256_end(&state);
}

/* Splits one signature line. */
static bool parse_sig(struct span line, struct note_sig *out)
{
    struct span rest = line;
    if (!span_skip(&rest, EM_DASH_SPACE))
        return false;
    ptrdiff_t space = span_find(rest, ' ');
    if (space < 0)
        return false;
    out->line = line;
    out->name = span_cut(rest, 0, (size_t)space);
    out->base64 = span_cut(rest, (size_t)space + 1, rest.len - (size_t)space - 1);
    size_t len = base64_decoded_len(out->base64);
    uint8_t head[6];
    if (out->base64.len < 8 || len < 5 || len > 4 + NOTE_SIGNATURE_BYTES_MAX)
        return false;
    /* The first eight characters hold the ID; a padding there is refused by the length above. */
    if (!base64_decode_to(span_cut(out->base64, 0, 8), head, sizeof head) &&
        !(out->base64.len == 8 && base64_decode_to(out->base64, head, len)))
        return false;
    out->id = get_be32(head);
    out->sig_bytes = len - 4;
    return true;
}

static bool sig_ok(struct span line, struct buf *scratch)
{
    struct note_sig sig;
    buf_clear(scratch);
    return parse_sig(line, &sig) && key_name_ok(sig.name) && base64_decode(sig.base64, scratch);
}

static enum err check_characters(struct span text, struct why *why)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 && text.data[i] != '\n')
            return fail(why, ERR_MALFORMED, "the note has the control character 0x%02x at byte %zu (signed-note, \"Format\")",
                        text.data[i], i);
    if (!span_utf8(text))
        return fail(why, ERR_MALFORMED, "the note is not valid UTF-8 (signed-note, \"Format\")");
    return OK;
}

/* The end of the text, its final newline included: before the last empty line. 0 where there is none. */
static size_t find_text_end(struct span note)
{
    for (size_t i = note.len; i >= 2; i--)
        if (note.data[i - 1] == '\n' && note.data[i - 2] == '\n')
            return i - 1;
    return 0;
}

enum err note_parse(struct note *out, struct span text, struct why *why)
{
    if (text.len > NOTE_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "the note has %zu bytes, more than %d", text.len, NOTE_BYTES_MAX);
    enum err err = check_characters(text, why);
    if (err != OK)
        return err;
    size_t end = find_text_end(text);
    if (end == 0)
        return fail(why, ERR_MALFORMED, "the note has no empty line between a text and its signatures (signed-note, \"Format\")");
    out->text = span_cut(text, 0, end);
    out->sig_lines = span_cut(text, end + 1, text.len - end - 1);
    struct span rest = out->sig_lines, line;
    struct buf scratch = BUF_EMPTY;
    size_t n = 0;
    while (err == OK && span_line(&rest, &line)) {
        if (++n > NOTE_SIGNATURES_MAX)
            err = fail(why, ERR_MALFORMED, "the note has more than %d signatures", NOTE_SIGNATURES_MAX);
        else if (!sig_ok(line, &scratch))
            err = scratch.failed
                      ? buf_done(&scratch, why)
                      : fail(why, ERR_MALFORMED, "signature line %zu of the note is malformed (signed-note, \"Format\")", n);
    }
    buf_free(&scratch);
    if (err == OK && (n == 0 || rest.len > 0))
        err = fail(why, ERR_MALFORMED, n == 0 ? "the note has no signature line" : "the note does not end in a newline");
    return err;
}

bool note_next_sig(struct span *rest, struct note_sig *out)
{
    struct span line;
    return span_line(rest, &line) && parse_sig(line, out);
}

bool note_sig_is_by(const struct note_sig *sig, const struct vkey *key)
{
    return sig->id == key->id && span_eq(sig->name, key->name);
}

bool note_sig_bytes(const struct note_sig *sig, uint8_t *out, size_t len)
{
    uint8_t bytes[4 + 128];
    if (sig->sig_bytes != len || len > sizeof bytes - 4 || !base64_decode_to(sig->base64, bytes, 4 + len))
        return false;
    memcpy(out, bytes + 4, len);
    return true;
}

bool note_sig_repeated(const struct note *note, const struct note_sig *sig)
{
    struct span rest = note->sig_lines, line;
    while (span_line(&rest, &line) && line.data != sig->line.data)
        if (span_eq(line, sig->line))
            return true;
    return false;
}

enum err note_verify(const struct note *note, const struct vkey *keys, size_t n, bool *verified, size_t *unverified,
                     struct why *why)
{
    struct span rest = note->sig_lines;
    struct note_sig sig;
    bool any = false;
    if (unverified != NULL)
        *unverified = 0;
    if (n > 0)
        memset(verified, 0, n * sizeof *verified);
    while (note_next_sig(&rest, &sig)) {
        bool known = false;
        if (note_sig_repeated(note, &sig))
            continue;
        for (size_t i = 0; i < n; i++) {
            uint8_t bytes[64];
            if (keys[i].type != SIG_ED25519 || !note_sig_is_by(&sig, &keys[i]))
                continue;
            known = true;
            if (!note_sig_bytes(&sig, bytes, sizeof bytes) || !ed25519_verify(bytes, note->text, keys[i].key))
                return fail(why, ERR_REFUSED, "the signature by %.*s does not verify", SPAN_FMT(sig.name));
            any = verified[i] = true;
        }
        if (!known && unverified != NULL)
            ++*unverified;
    }
    return any ? OK : fail(why, ERR_REFUSED, "the note is not signed by a known key");
}

void note_sig_render(struct buf *out, const struct vkey *key, struct span sig)
{
    struct buf bytes = BUF_EMPTY;
    uint8_t id[4];
    put_be32(id, key->id);
    buf_add(&bytes, id, sizeof id);
    buf_span(&bytes, sig);
    buf_str(out, EM_DASH_SPACE);
    buf_span(out, key->name);
    buf_byte(out, ' ');
    base64_encode(out, span_buf(&bytes));
    buf_byte(out, '\n');
    out->failed |= bytes.failed;
    buf_free(&bytes);
}
