#include "lib/storepath.h"

bool storepath_hash_part_ok(struct span hash_part)
{
    return hash_part.len == HASH_PART_LEN && nix32_alphabet(hash_part);
}

bool storepath_name_ok(struct span name)
{
    if (name.len == 0 || name.len > STORE_NAME_BYTES_MAX || name.data[0] == '.')
        return false;
    static const char besides[] = { '+', '-', '.', '_', '?', '=' };
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(besides, c, sizeof besides) == NULL)
            return false;
    }
    return true;
}

enum err storepath_parse_base(struct storepath *out, struct span base, struct why *why)
{
    *out = (struct storepath){ .base = base };
    if (base.len < HASH_PART_LEN + 2 || base.data[HASH_PART_LEN] != '-')
        return fail(why, ERR_MALFORMED, "%.*s is no store path's base name: HASH-NAME", SPAN_FMT(base));
    out->hash_part = span_cut(base, 0, HASH_PART_LEN);
    out->name = span_cut(base, HASH_PART_LEN + 1, base.len - HASH_PART_LEN - 1);
    if (!storepath_hash_part_ok(out->hash_part))
        return fail(why, ERR_MALFORMED, "%.*s does not start with 32 characters of Nix's base 32", SPAN_FMT(base));
    if (!storepath_name_ok(out->name))
        return fail(why, ERR_MALFORMED, "%.*s has a name that Nix does not allow", SPAN_FMT(base));
    return OK;
}

/* An absolute folder without empty, "." and ".." parts, and without control characters. */
static bool dir_ok(struct span dir)
{
    struct span rest = dir;
    if (dir.len < 2 || dir.data[0] != '/')
        return false;
    while (rest.len > 0) {
        rest = span_cut(rest, 1, rest.len - 1);
        ptrdiff_t slash = span_find(rest, '/');
        struct span part = slash < 0 ? rest : span_cut(rest, 0, (size_t)slash);
        if (part.len == 0 || span_is(part, ".") || span_is(part, ".."))
            return false;
        for (size_t i = 0; i < part.len; i++)
            if (part.data[i] < 0x20 || part.data[i] == 0x7f)
                return false;
        rest = span_cut(rest, part.len, rest.len - part.len);
    }
    return true;
}

enum err storepath_parse(struct storepath *out, struct span path, struct why *why)
{
    size_t slash = path.len;
    while (slash > 0 && path.data[slash - 1] != '/')
        slash--;
    *out = (struct storepath){ 0 };
    if (slash < 2 || path.len > STORE_PATH_BYTES_MAX || !dir_ok(span_cut(path, 0, slash - 1)))
        return fail(why, ERR_MALFORMED, "%.*s is no store path: it is not absolute, or its folder is not clean", SPAN_FMT(path));
    enum err err = storepath_parse_base(out, span_cut(path, slash, path.len - slash), why);
    out->path = path;
    out->dir = span_cut(path, 0, slash - 1);
    return err;
}

enum err storepath_parse_in(struct storepath *out, struct span path, struct span dir, struct why *why)
{
    enum err err = storepath_parse(out, path, why);
    if (err == OK && !span_eq(out->dir, dir))
        err = fail(why, ERR_MALFORMED, "%.*s is not in the store %.*s", SPAN_FMT(path), SPAN_FMT(dir));
    return err;
}

bool storepath_holding(struct storepath *out, struct span path)
{
    for (size_t end = 1; end <= path.len; end++)
        if ((end == path.len || path.data[end] == '/') && storepath_parse(out, span_cut(path, 0, end), NULL) == OK)
            return true;
    return false;
}

void storepath_clean(struct buf *out, struct span path)
{
    size_t start = out->len;
    while (span_skip(&path, "/")) {
        ptrdiff_t slash = span_find(path, '/');
        struct span part = slash < 0 ? path : span_cut(path, 0, (size_t)slash);
        path = span_cut(path, part.len, path.len - part.len);
        if (span_is(part, "..")) {
            while (out->len > start && out->data[--out->len] != '/')
                continue;
        } else if (part.len > 0 && !span_is(part, ".")) {
            buf_byte(out, '/');
            buf_span(out, part);
        }
    }
    if (out->len == start)
        buf_byte(out, '/');
}

void storepath_make(struct buf *out, struct span dir, struct span type, const struct hash *inner, struct span name)
{
    struct buf text = BUF_EMPTY;
    uint8_t folded[20] = { 0 };
    buf_span(&text, type);
    buf_str(&text, ":sha256:");
    hex_encode(&text, span_of(inner->b, sizeof inner->b));
    buf_fmt(&text, ":%.*s:%.*s", SPAN_FMT(dir), SPAN_FMT(name));
    struct hash hash = sha256_of(span_buf(&text));
    /* Nix keeps 160 bits of a path's hash: the others are folded over them. */
    for (size_t i = 0; i < sizeof hash.b; i++)
        folded[i % sizeof folded] ^= hash.b[i];
    buf_span(out, dir);
    buf_byte(out, '/');
    nix32_encode(out, span_of(folded, sizeof folded));
    buf_byte(out, '-');
    buf_span(out, name);
    out->failed |= text.failed;
    buf_free(&text);
}

/* A hash as a CA field has it: "ALGO:" and nix32, or hex, or base64. */
static bool take_ca_hash(struct span text, struct content_address *out)
{
    static const struct {
        const char *name;
        size_t len;
    } algos[] = { { "md5", 16 }, { "sha1", 20 }, { "sha256", 32 }, { "sha512", 64 } };
    ptrdiff_t colon = span_find(text, ':');
    if (colon < 0)
        return false;
    out->algo = span_cut(text, 0, (size_t)colon);
    struct span digest = span_cut(text, (size_t)colon + 1, text.len - (size_t)colon - 1);
    for (size_t i = 0; i < sizeof algos / sizeof *algos; i++)
        if (span_is(out->algo, algos[i].name)) {
            out->hash_len = algos[i].len;
            return nix32_decode(digest, out->hash, out->hash_len) || hex_decode(digest, out->hash, out->hash_len) ||
                   base64_decode_to(digest, out->hash, out->hash_len);
        }
    return false;
}

bool content_address_parse(struct content_address *out, struct span ca)
{
    *out = (struct content_address){ .text = span_skip(&ca, "text:") };
    if (!out->text && !span_skip(&ca, "fixed:"))
        return false;
    out->recursive = !out->text && span_skip(&ca, "r:");
    return take_ca_hash(ca, out) && (!out->text || span_is(out->algo, "sha256"));
}

/* "TYPE:REF:REF…[:self]": references are part of the path that they give. */
static void put_type(struct buf *out, const char *type, const struct span *references, size_t n, bool self)
{
    buf_str(out, type);
    for (size_t i = 0; i < n; i++) {
        buf_byte(out, ':');
        buf_span(out, references[i]);
    }
    if (self)
        buf_str(out, ":self");
}

static enum err make_fixed(struct buf *out, struct span dir, struct span name, const struct content_address *address,
                           const struct span *references, size_t n, bool self, struct why *why)
{
    struct buf type = BUF_EMPTY, text = BUF_EMPTY;
    struct hash inner;
    enum err err = OK;
    if (address->recursive && span_is(address->algo, "sha256")) {
        put_type(&type, "source", references, n, self);
        memcpy(inner.b, address->hash, sizeof inner.b);
    } else if (n > 0 || self) {
        err = fail(why, ERR_REFUSED, "a fixed-output path of this kind has no references");
    } else {
        put_type(&type, "output:out", NULL, 0, false);
        buf_fmt(&text, "fixed:out:%s%.*s:", address->recursive ? "r:" : "", SPAN_FMT(address->algo));
        hex_encode(&text, span_of(address->hash, address->hash_len));
        buf_byte(&text, ':');
        inner = sha256_of(span_buf(&text));
    }
    if (err == OK)
        storepath_make(out, dir, span_buf(&type), &inner, name);
    if (err == OK)
        err = type.failed || text.failed ? fail(why, ERR_ENV, "out of memory") : buf_done(out, why);
    buf_free(&type);
    buf_free(&text);
    return err;
}

enum err storepath_from_ca(struct buf *out, struct span dir, struct span name, struct span ca, const struct span *references,
                           size_t n, bool self, struct why *why)
{
    struct content_address address;
    struct buf type = BUF_EMPTY;
    struct hash inner;
    if (!content_address_parse(&address, ca))
        return fail(why, ERR_MALFORMED, "%.*s is no content address: text:sha256:HASH, fixed:ALGO:HASH or fixed:r:ALGO:HASH",
                    SPAN_FMT(ca));
    if (!address.text)
        return make_fixed(out, dir, name, &address, references, n, self, why);
    if (self)
        return fail(why, ERR_REFUSED, "a text file cannot refer to itself");
    memcpy(inner.b, address.hash, sizeof inner.b);
    put_type(&type, "text", references, n, false);
    storepath_make(out, dir, span_buf(&type), &inner, name);
    out->failed |= type.failed;
    buf_free(&type);
    return buf_done(out, why);
}
