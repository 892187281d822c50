#include "tests/vectors/vector.h"

#include <stdlib.h>

#include <sodium.h>

#include "lib/sys/file.h"

struct hash vector_hash(const char *text)
{
    return sha256_of(span_str(text));
}

struct secret_key *vector_key(const char *name, enum sig_type type)
{
    struct buf text = BUF_EMPTY, what = BUF_EMPTY;
    uint8_t public[32], secret[64], typed[33] = { (uint8_t)type };
    struct secret_key *key = NULL;
    struct why why;
    buf_fmt(&what, "stele test key %s", name);
    struct hash seed = sha256_of(span_buf(&what));
    crypto_sign_seed_keypair(public, secret, seed.b);
    memcpy(typed + 1, seed.b, sizeof seed.b);
    buf_fmt(&text, "PRIVATE+KEY+%s+%08x+", name, (unsigned)key_id(span_str(name), type, public));
    base64_encode(&text, span_of(typed, sizeof typed));
    must(secret_key_parse(&key, span_buf(&text), type, &why), &why);
    buf_free(&text);
    buf_free(&what);
    return key;
}

void vector_put_vkey(struct buf *out, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    vkey_render(out, &vkey);
}

void vector_open(struct buf *out, const char *name, bool ok)
{
    buf_fmt(out, "%s{\n  \"name\": ", out->len == 0 ? "[\n" : ",\n");
    json_put_string(out, span_str(name));
    buf_fmt(out, ",\n  \"ok\": %s", ok ? "true" : "false");
}

void vector_member(struct buf *out, const char *name, struct span text)
{
    buf_fmt(out, ",\n  \"%s\": ", name);
    json_put_string(out, text);
}

void vector_member_hash(struct buf *out, const char *name, const struct hash *hash)
{
    buf_fmt(out, ",\n  \"%s\": \"", name);
    hex_encode(out, span_of(hash->b, sizeof hash->b));
    buf_byte(out, '"');
}

void vector_close(struct buf *out)
{
    buf_str(out, "\n}");
}

void vector_write(const char *folder, const char *name, struct buf *out)
{
    char *path = path_join(folder, name);
    struct why why;
    buf_str(out, "\n]\n");
    must(buf_done(out, &why), &why);
    must(file_replace(path, 0644, span_buf(out), &why), &why);
    free(path);
    buf_free(out);
}

/* Where `what` begins in `text`, from `at` on. */
static size_t place_of(struct span text, size_t at, const char *what)
{
    struct why why;
    for (; at + strlen(what) <= text.len; at++)
        if (span_starts(span_cut(text, at, text.len - at), what))
            return at;
    must(fail(&why, ERR_ENV, "no %s to alter", what), &why);
    return at;
}

void vector_altered(struct buf *out, struct span text, const char *from, const char *upto, const char *to)
{
    size_t at = place_of(text, 0, from), after = at + strlen(from);
    if (upto != NULL)
        after = place_of(text, after, upto);
    buf_span(out, span_cut(text, 0, at));
    buf_str(out, to);
    buf_span(out, span_cut(text, after, text.len - after));
}
