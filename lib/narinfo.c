#include "lib/narinfo.h"

#include <stdlib.h>

static bool split_colon(struct span text, struct span *name, struct span *value)
{
    ptrdiff_t colon = span_find(text, ':');
    if (colon <= 0)
        return false;
    *name = span_cut(text, 0, (size_t)colon);
    *value = span_cut(text, (size_t)colon + 1, text.len - (size_t)colon - 1);
    return true;
}

enum err nix_key_parse(struct nix_key *out, struct span text, struct why *why)
{
    struct span value;
    if (!split_colon(text, &out->name, &value) || !base64_decode_to(value, out->key, sizeof out->key))
        return fail(why, ERR_MALFORMED, "a Nix public key is NAME:BASE64 of 32 bytes");
    return OK;
}

/* The fields as they stand, before they are read. */
struct fields {
    struct span path, url, compression, nar_hash, nar_size, references, deriver, ca;
    struct span sigs[NARINFO_SIGS_MAX];
    size_t sigs_n;
};

static const struct field {
    const char *name;
    size_t offset;
} fields_known[] = {
    { "StorePath", offsetof(struct fields, path) },          { "URL", offsetof(struct fields, url) },
    { "Compression", offsetof(struct fields, compression) }, { "NarHash", offsetof(struct fields, nar_hash) },
    { "NarSize", offsetof(struct fields, nar_size) },        { "References", offsetof(struct fields, references) },
    { "Deriver", offsetof(struct fields, deriver) },         { "CA", offsetof(struct fields, ca) },
};

static enum err take_field(struct fields *out, struct span name, struct span value, unsigned line, struct why *why)
{
    if (span_is(name, "Sig")) {
        if (out->sigs_n == NARINFO_SIGS_MAX)
            return fail(why, ERR_MALFORMED, "line %u: more than %d signatures", line, NARINFO_SIGS_MAX);
        out->sigs[out->sigs_n++] = value;
        return OK;
    }
    for (size_t i = 0; i < sizeof fields_known / sizeof *fields_known; i++) {
        struct span *field = (struct span *)(void *)((char *)out + fields_known[i].offset);
        if (!span_is(name, fields_known[i].name))
            continue;
        if (field->data != NULL)
            return fail(why, ERR_MALFORMED, "line %u: %s stands there twice", line, fields_known[i].name);
        *field = value;
    }
    return OK;
}

static enum err take_fields(struct fields *out, struct span text, struct why *why)
{
    struct span rest = text, line, name, value;
    unsigned number = 0;
    enum err err = OK;
    while (err == OK && span_line(&rest, &line)) {
        number++;
        if (!split_colon(line, &name, &value) || value.len == 0 || value.data[0] != ' ')
            return fail(why, ERR_MALFORMED, "line %u is not `Key: value`", number);
        for (size_t i = 0; i < line.len; i++)
            if (line.data[i] < 0x20 || line.data[i] == 0x7f)
                return fail(why, ERR_MALFORMED, "line %u has the control character 0x%02x", number, line.data[i]);
        err = take_field(out, name, span_cut(value, 1, value.len - 1), number, why);
    }
    if (err == OK && rest.len > 0)
        err = fail(why, ERR_MALFORMED, "the last line has no newline");
    return err;
}

static int by_bytes(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static enum err take_references(struct narinfo *out, struct span text, struct why *why)
{
    struct span rest = text, word;
    size_t n = 0;
    while (span_word(&rest, &word))
        if (++n > REFERENCES_MAX)
            return fail(why, ERR_MALFORMED, "more than %d references", REFERENCES_MAX);
    out->references = calloc(n + 1, sizeof *out->references);
    if (out->references == NULL)
        return fail(why, ERR_ENV, "out of memory");
    n = 0;
    for (rest = text; span_word(&rest, &word);) {
        struct storepath path;
        enum err err = storepath_parse_base(&path, word, why);
        if (err != OK)
            return fail_in(why, err, "References");
        out->references[n++] = word;
    }
    if (n > 0)
        qsort(out->references, n, sizeof *out->references, by_bytes);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !span_eq(out->references[i], out->references[out->references_n - 1]))
            out->references[out->references_n++] = out->references[i];
    return OK;
}

static enum err take_sigs(struct narinfo *out, const struct fields *fields, struct why *why)
{
    out->sigs = calloc(fields->sigs_n + 1, sizeof *out->sigs);
    if (out->sigs == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < fields->sigs_n; i++) {
        struct nix_sig *sig = &out->sigs[out->sigs_n];
        struct span value;
        if (split_colon(fields->sigs[i], &sig->name, &value) && base64_decode_to(value, sig->sig, sizeof sig->sig))
            out->sigs_n++;
    }
    return OK;
}

/* A content address must give this very path: a false one would make Nix skip every signature. */
static enum err check_ca(const struct narinfo *info, struct span dir, struct why *why)
{
    struct buf made = BUF_EMPTY, names = BUF_EMPTY;
    struct span *paths = calloc(info->references_n + 1, sizeof *paths);
    bool self = false;
    size_t n = 0;
    enum err err = paths == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    /* All names first, then the spans: the buffer moves while it grows. */
    for (size_t i = 0; err == OK && i < info->references_n; i++) {
        if (span_eq(info->references[i], info->path.base)) {
            self = true;
            continue;
        }
        size_t from = names.len;
        buf_span(&names, dir);
        buf_byte(&names, '/');
        buf_span(&names, info->references[i]);
        paths[n++].len = names.len - from;
    }
    for (size_t i = 0, at = 0; i < n && !names.failed; at += paths[i++].len)
        paths[i].data = names.data + at;
    if (err == OK)
        err = buf_done(&names, why);
    if (err == OK)
        err = storepath_from_ca(&made, dir, info->path.name, info->ca, paths, n, self, why);
    if (err == OK && !span_eq(span_buf(&made), info->path.path))
        err = fail(why, ERR_MALFORMED, "CA gives the path %.*s, not this one", SPAN_FMT(span_buf(&made)));
    free(paths);
    buf_free(&made);
    buf_free(&names);
    return err == ERR_REFUSED ? ERR_MALFORMED : err;
}

static enum err take_values(struct narinfo *out, const struct fields *fields, struct span dir, struct why *why)
{
    struct storepath deriver;
    enum err err = storepath_parse_in(&out->path, fields->path, dir, why);
    if (err != OK)
        return fail_in(why, err, "StorePath");
    out->url = fields->url;
    if (fields->url.len == 0)
        return fail(why, ERR_MALFORMED, "URL is missing");
    out->compression = fields->compression.len > 0 ? fields->compression : span_str("bzip2");
    if (!nix_sha256_decode(fields->nar_hash, &out->nar_hash))
        return fail(why, ERR_MALFORMED, "NarHash is missing or no SHA-256");
    if (!span_decimal(fields->nar_size, INT64_MAX, &out->nar_size) || out->nar_size == 0)
        return fail(why, ERR_MALFORMED, "NarSize is missing, 0 or no number");
    if (fields->deriver.len > 0 && !span_is(fields->deriver, "unknown-deriver")) {
        if (storepath_parse_base(&deriver, fields->deriver, why) != OK)
            return fail_in(why, ERR_MALFORMED, "Deriver");
        out->deriver = fields->deriver;
    }
    out->ca = fields->ca;
    return OK;
}

enum err narinfo_parse(struct narinfo *out, struct span text, struct span dir, struct why *why)
{
    struct fields fields = { 0 };
    *out = (struct narinfo){ 0 };
    if (text.len > NARINFO_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "more than %d bytes", NARINFO_BYTES_MAX);
    enum err err = take_fields(&fields, text, why);
    if (err == OK)
        err = take_values(out, &fields, dir, why);
    if (err == OK)
        err = take_references(out, fields.references, why);
    if (err == OK)
        err = take_sigs(out, &fields, why);
    if (err == OK && out->ca.len > 0)
        err = check_ca(out, dir, why);
    if (err != OK)
        narinfo_free(out);
    return err;
}

void narinfo_free(struct narinfo *info)
{
    free(info->references);
    free(info->sigs);
    *info = (struct narinfo){ 0 };
}

void narinfo_fingerprint(struct buf *out, const struct narinfo *info)
{
    buf_str(out, "1;");
    buf_span(out, info->path.path);
    buf_str(out, ";sha256:");
    nix32_encode(out, span_of(info->nar_hash.b, sizeof info->nar_hash.b));
    buf_fmt(out, ";%llu;", (unsigned long long)info->nar_size);
    for (size_t i = 0; i < info->references_n; i++) {
        if (i > 0)
            buf_byte(out, ',');
        buf_span(out, info->path.dir);
        buf_byte(out, '/');
        buf_span(out, info->references[i]);
    }
}

size_t narinfo_verify(const struct narinfo *info, const struct nix_key *keys, size_t n, bool *signed_by)
{
    struct buf fingerprint = BUF_EMPTY;
    size_t count = 0;
    narinfo_fingerprint(&fingerprint, info);
    for (size_t k = 0; k < n; k++) {
        bool valid = false;
        for (size_t i = 0; i < info->sigs_n && !valid && !fingerprint.failed; i++)
            valid =
                span_eq(info->sigs[i].name, keys[k].name) && ed25519_verify(info->sigs[i].sig, span_buf(&fingerprint), keys[k].key);
        if (signed_by != NULL)
            signed_by[k] = valid;
        count += valid;
    }
    buf_free(&fingerprint);
    return count;
}

static void put_line(struct buf *out, const char *name, struct span value)
{
    buf_str(out, name);
    buf_str(out, ": ");
    buf_span(out, value);
    buf_byte(out, '\n');
}

void narinfo_render(struct buf *out, const struct narinfo *info)
{
    put_line(out, "StorePath", info->path.path);
    put_line(out, "URL", info->url);
    put_line(out, "Compression", info->compression);
    buf_str(out, "NarHash: sha256:");
    nix32_encode(out, span_of(info->nar_hash.b, sizeof info->nar_hash.b));
    buf_fmt(out, "\nNarSize: %llu\nReferences: ", (unsigned long long)info->nar_size);
    for (size_t i = 0; i < info->references_n; i++) {
        if (i > 0)
            buf_byte(out, ' ');
        buf_span(out, info->references[i]);
    }
    buf_byte(out, '\n');
    if (info->deriver.len > 0)
        put_line(out, "Deriver", info->deriver);
    if (info->ca.len > 0)
        put_line(out, "CA", info->ca);
    for (size_t i = 0; i < info->sigs_n; i++) {
        buf_str(out, "Sig: ");
        buf_span(out, info->sigs[i].name);
        buf_byte(out, ':');
        base64_encode(out, span_of(info->sigs[i].sig, sizeof info->sigs[i].sig));
        buf_byte(out, '\n');
    }
}
