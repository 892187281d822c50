#include "lib/sys/key.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/cosignature.h"
#include "lib/sys/file.h"

enum { KEY_FILE_BYTES_MAX = 8192, NAME_BYTES_MAX = 1024 };

struct secret_key {
    uint8_t type;
    uint8_t secret[64]; /* libsodium's: seed and public key */
    size_t name_len;
    uint8_t name[NAME_BYTES_MAX];
};

struct nix_secret_key {
    uint8_t secret[64];
    size_t name_len;
    uint8_t name[NAME_BYTES_MAX];
};

enum err key_system_start(struct why *why)
{
    return sodium_init() < 0 ? fail(why, ERR_ENV, "libsodium cannot start") : OK;
}

static enum err no_guarded_memory(struct why *why)
{
    return fail(why, ERR_ENV, "no locked memory for a secret key: %s (see RLIMIT_MEMLOCK)", strerror(errno));
}

/* A key with the name and room for the secret. */
static enum err make(struct secret_key **out, struct span name, enum sig_type type, struct why *why)
{
    *out = NULL;
    if (name.len > NAME_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "a key's name has at most %d bytes, this one %zu", NAME_BYTES_MAX, name.len);
    if (!key_name_ok(name))
        return fail(why, ERR_MALFORMED, "a key's name is not empty, and has no space, plus or control character in it: \"%.*s\"",
                    SPAN_FMT(name));
    struct secret_key *key = sodium_malloc(sizeof *key);
    if (key == NULL)
        return no_guarded_memory(why);
    key->type = (uint8_t)type;
    key->name_len = name.len;
    memcpy(key->name, name.data, name.len);
    *out = key;
    return OK;
}

enum err secret_key_new(struct secret_key **out, struct span name, enum sig_type type, struct why *why)
{
    uint8_t public[32];
    enum err err = make(out, name, type, why);
    if (err == OK)
        crypto_sign_keypair(public, (*out)->secret);
    return err;
}

struct vkey secret_key_vkey(const struct secret_key *key)
{
    return vkey_make(span_of(key->name, key->name_len), key->type, key->secret + 32);
}

void secret_key_free(struct secret_key *key)
{
    sodium_free(key);
}

enum err secret_key_parse(struct secret_key **out, struct span text, enum sig_type want, struct why *why)
{
    struct span rest = text;
    uint8_t id[4], seed[33], public[32];
    *out = NULL;
    ptrdiff_t first, second;
    if (!span_skip(&rest, "PRIVATE+KEY+") || (first = span_find(rest, '+')) < 0 ||
        (second = span_find(span_cut(rest, (size_t)first + 1, rest.len - (size_t)first - 1), '+')) < 0)
        return fail(why, ERR_MALFORMED, "a secret key is PRIVATE+KEY+NAME+ID+KEY");
    struct span name = span_cut(rest, 0, (size_t)first), id_text = span_cut(rest, (size_t)first + 1, (size_t)second);
    size_t at = (size_t)(first + second) + 2;
    if (!hex_decode(id_text, id, sizeof id) || !base64_decode_to(span_cut(rest, at, rest.len - at), seed, sizeof seed))
        return fail(why, ERR_MALFORMED,
                    "the secret key's ID is not eight lower-case hexadecimal digits, or its key not the base64 of a type byte and "
                    "32 bytes");
    enum err err = seed[0] == want
                       ? make(out, name, want, why)
                       : fail(why, ERR_MALFORMED, "the secret key has type 0x%02x, wanted 0x%02x", seed[0], (unsigned)want);
    if (err == OK) {
        crypto_sign_seed_keypair(public, (*out)->secret, seed + 1);
        if (key_id(name, (uint8_t)want, public) != get_be32(id)) {
            secret_key_free(*out);
            *out = NULL;
            err = fail(why, ERR_MALFORMED, "the secret key's ID is not that of its name and public key");
        }
    }
    sodium_memzero(seed, sizeof seed);
    return err;
}

/* "name:base64(64 bytes)": seed and public key, as libsodium has them. */
static enum err parse_nix(struct span text, struct span *name, uint8_t secret[64], struct why *why)
{
    uint8_t seed[32], public[32];
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
        text.len--;
    ptrdiff_t colon = span_find(text, ':');
    if (colon <= 0 || !base64_decode_to(span_cut(text, (size_t)colon + 1, text.len - (size_t)colon - 1), secret, 64))
        return fail(why, ERR_MALFORMED, "a Nix secret key is NAME:BASE64 of 64 bytes");
    *name = span_cut(text, 0, (size_t)colon);
    memcpy(seed, secret, sizeof seed);
    uint8_t again[64];
    crypto_sign_seed_keypair(public, again, seed);
    bool fits = memcmp(again, secret, sizeof again) == 0;
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(again, sizeof again);
    return fits ? OK : fail(why, ERR_MALFORMED, "the Nix secret key's two halves do not fit each other");
}

enum err secret_key_from_nix(struct secret_key **out, struct span text, struct span name, enum sig_type type, struct why *why)
{
    uint8_t secret[64];
    struct span nix_name;
    *out = NULL;
    enum err err = parse_nix(text, &nix_name, secret, why);
    if (err == OK)
        err = make(out, name, type, why);
    if (err == OK)
        memcpy((*out)->secret, secret, sizeof secret);
    sodium_memzero(secret, sizeof secret);
    return err;
}

/* Reads a file that only its owner may read, into guarded memory. The caller frees *out with sodium_free. */
static enum err read_secret(const char *path, uint8_t **out, size_t *len, struct why *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(why, ERR_ENV, "cannot open the secret key %s: %s", path, strerror(errno));
    enum err err = OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err = fail(why, ERR_ENV, "the secret key %s is not a regular file", path);
    else if ((st.st_mode & 077) != 0 && span_ends(span_str(path), ".pub"))
        err = fail(why, ERR_ENV, "%s is a public key's file, where the secret key's is wanted", path);
    else if ((st.st_mode & 077) != 0)
        err = fail(why, ERR_ENV, "others can read the secret key %s: chmod 600 it", path);
    else if ((*out = sodium_malloc(KEY_FILE_BYTES_MAX)) == NULL)
        err = no_guarded_memory(why);
    *len = 0;
    while (err == OK) {
        ssize_t got = read(fd, *out + *len, KEY_FILE_BYTES_MAX - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = fail(why, ERR_ENV, "cannot read the secret key %s: %s", path, strerror(errno));
        if (got <= 0)
            break;
        *len += (size_t)got;
        if (*len == KEY_FILE_BYTES_MAX)
            err = fail(why, ERR_MALFORMED, "the secret key %s is larger than a key", path);
    }
    close(fd);
    return err;
}

enum err secret_key_load(struct secret_key **out, const char *path, enum sig_type want, struct why *why)
{
    uint8_t *text = NULL;
    size_t len;
    *out = NULL;
    enum err err = read_secret(path, &text, &len, why);
    if (err == OK) {
        if (len > 0 && text[len - 1] == '\n')
            len--;
        err = secret_key_parse(out, span_of(text, len), want, why);
        if (err != OK)
            fail_in(why, err, "%s", path);
    }
    sodium_free(text);
    return err;
}

void secret_key_render(struct buf *out, const struct secret_key *key)
{
    uint8_t bytes[33];
    struct vkey vkey = secret_key_vkey(key);
    bytes[0] = key->type;
    memcpy(bytes + 1, key->secret, 32);
    buf_str(out, "PRIVATE+KEY+");
    buf_span(out, vkey.name);
    buf_fmt(out, "+%08x+", (unsigned)vkey.id);
    base64_encode(out, span_of(bytes, sizeof bytes));
    sodium_memzero(bytes, sizeof bytes);
}

enum err secret_key_save(const struct secret_key *key, const char *path, struct why *why)
{
    struct buf secret = BUF_EMPTY, public = BUF_EMPTY, public_path = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key);
    /* Room at once: a buffer that grows leaves copies behind. */
    buf_grow(&secret, KEY_FILE_BYTES_MAX);
    buf_clear(&secret);
    secret_key_render(&secret, key);
    buf_byte(&secret, '\n');
    vkey_render(&public, &vkey);
    buf_byte(&public, '\n');
    buf_fmt(&public_path, "%s.pub", path);
    buf_byte(&public_path, '\0');
    enum err err = secret.failed || public.failed || public_path.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    /* The public half first: a crash in between leaves no secret key without its vkey. */
    if (err == OK)
        err = file_create((const char *)public_path.data, 0644, span_buf(&public), why);
    if (err == OK) {
        err = file_create(path, 0600, span_buf(&secret), why);
        if (err != OK)
            unlink((const char *)public_path.data);
    }
    if (secret.data != NULL)
        sodium_memzero(secret.data, secret.cap);
    buf_free(&secret);
    buf_free(&public);
    buf_free(&public_path);
    return err;
}

enum err secret_key_sign(const struct secret_key *key, struct span message, uint8_t sig[64], struct why *why)
{
    crypto_sign_detached(sig, NULL, message.data, message.len, key->secret);
    /* A fault in memory or processor while signing could give the key away. */
    if (!ed25519_verify(sig, message, key->secret + 32))
        return fail(why, ERR_ENV, "a signature just made does not verify: this machine's memory or processor is faulty");
    return OK;
}

/* A fault that passes changes one of two signatures: making a second one notices it for half of what a verification costs. */
static enum err sign_twice(const uint8_t secret[64], struct span message, uint8_t sig[64], struct why *why)
{
    uint8_t again[crypto_sign_BYTES];
    crypto_sign_detached(sig, NULL, message.data, message.len, secret);
    crypto_sign_detached(again, NULL, message.data, message.len, secret);
    return sodium_memcmp(sig, again, sizeof again) == 0
               ? OK
               : fail(why, ERR_ENV, "two signatures just made differ: this machine's memory or processor is faulty");
}

enum err secret_key_cosign(const struct secret_key *key, uint64_t time_s, struct span text, bool first, uint8_t cosignature[72],
                           struct why *why)
{
    struct buf message = BUF_EMPTY;
    cosignature_message(&message, time_s, text);
    enum err err = buf_done(&message, why);
    put_be64(cosignature, time_s);
    if (err == OK)
        err = first ? secret_key_sign(key, span_buf(&message), cosignature + 8, why)
                    : sign_twice(key->secret, span_buf(&message), cosignature + 8, why);
    buf_free(&message);
    return err;
}

enum err nix_secret_key_load(struct nix_secret_key **out, const char *path, struct why *why)
{
    uint8_t *text = NULL;
    size_t len;
    struct span name;
    struct nix_secret_key *key = NULL;
    *out = NULL;
    enum err err = read_secret(path, &text, &len, why);
    if (err == OK && (key = sodium_malloc(sizeof *key)) == NULL)
        err = no_guarded_memory(why);
    if (err == OK)
        err = parse_nix(span_of(text, len), &name, key->secret, why);
    if (err == OK && name.len > sizeof key->name)
        err = fail(why, ERR_MALFORMED, "the key's name is too long");
    if (err == OK) {
        memcpy(key->name, name.data, name.len);
        key->name_len = name.len;
        *out = key;
    } else {
        fail_in(why, err, "%s", path);
        sodium_free(key);
    }
    sodium_free(text);
    return err;
}

void nix_secret_key_free(struct nix_secret_key *key)
{
    sodium_free(key);
}

struct nix_key nix_secret_key_public(const struct nix_secret_key *key)
{
    struct nix_key out = { .name = span_of(key->name, key->name_len) };
    memcpy(out.key, key->secret + 32, sizeof out.key);
    return out;
}

enum err nix_secret_key_sign(const struct nix_secret_key *key, struct span fingerprint, struct nix_sig *out, struct why *why)
{
    out->name = span_of(key->name, key->name_len);
    return sign_twice(key->secret, fingerprint, out->sig, why);
}
