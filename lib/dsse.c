#include "lib/dsse.h"

#include <stdlib.h>

/* The one byte form, in pieces. */
#define BEFORE_PAYLOAD "{\"payload\":\""
#define BEFORE_KEYID   "\",\"payloadType\":\"" IN_TOTO_TYPE "\",\"signatures\":[{\"keyid\":\""
#define BEFORE_SIG     "\",\"sig\":\""
#define AFTER_SIG      "\"}]}"

void dsse_pae(struct buf *out, struct span type, struct span payload)
{
    buf_fmt(out, "DSSEv1 %zu ", type.len);
    buf_span(out, type);
    buf_fmt(out, " %zu ", payload.len);
    buf_span(out, payload);
}

/* The characters up to the next quote; a backslash ends the one form. */
static bool take_plain_string(struct span *rest, struct span *out)
{
    ptrdiff_t quote = span_find(*rest, '"');
    if (quote < 0)
        return false;
    *out = span_cut(*rest, 0, (size_t)quote);
    *rest = span_cut(*rest, (size_t)quote, rest->len - (size_t)quote);
    return span_find(*out, '\\') < 0;
}

enum err envelope_parse(struct envelope *out, struct span entry, struct buf *storage, struct why *why)
{
    struct span rest = entry, payload, keyid, sig;
    if (entry.len > ENTRY_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "the attestation has %zu bytes, more than %d", entry.len, ENTRY_BYTES_MAX);
    if (!span_skip(&rest, BEFORE_PAYLOAD) || !take_plain_string(&rest, &payload) || !span_skip(&rest, BEFORE_KEYID) ||
        !take_plain_string(&rest, &keyid) || !span_skip(&rest, BEFORE_SIG) || !take_plain_string(&rest, &sig) ||
        !span_is(rest, AFTER_SIG))
        return fail(why, ERR_MALFORMED,
                    "the envelope is not in the one byte form of an attestation (spec/attestation.md, \"Envelope\"): `stele "
                    "submit` renders it so");
    size_t from = storage->len;
    if (!base64_decode(payload, storage))
        return storage->failed ? buf_done(storage, why)
                               : fail(why, ERR_MALFORMED, "the envelope's payload is not canonical base64");
    if (!base64_decode_to(sig, out->sig, sizeof out->sig))
        return fail(why, ERR_MALFORMED, "the envelope's signature is not the base64 of 64 bytes");
    enum err err = vkey_parse(&out->key, keyid, SIG_ED25519, why);
    if (err != OK)
        return fail_in(why, err, "the envelope's keyid");
    out->entry = entry;
    out->payload = span_of(storage->data + from, storage->len - from);
    return OK;
}

enum err envelope_verify(const struct envelope *envelope, struct why *why)
{
    struct buf pae = BUF_EMPTY;
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), envelope->payload);
    enum err err = buf_done(&pae, why);
    if (err == OK && !ed25519_verify(envelope->sig, span_buf(&pae), envelope->key.key))
        err = fail(why, ERR_REFUSED, "the envelope's signature by %.*s does not verify", SPAN_FMT(envelope->key.name));
    buf_free(&pae);
    return err;
}

void envelope_render(struct buf *out, struct span payload, const struct vkey *key, const uint8_t sig[64])
{
    buf_str(out, BEFORE_PAYLOAD);
    base64_encode(out, payload);
    buf_str(out, BEFORE_KEYID);
    vkey_render(out, key);
    buf_str(out, BEFORE_SIG);
    base64_encode(out, span_of(sig, 64));
    buf_str(out, AFTER_SIG);
}

size_t envelope_payload_max(struct span key_name)
{
    /* A vkey is NAME+12345678+ and 44 characters of base64. */
    size_t frame = strlen(BEFORE_PAYLOAD BEFORE_KEYID BEFORE_SIG AFTER_SIG) + key_name.len + 54 + base64_encoded_len(64);
    return frame >= ENTRY_BYTES_MAX ? 0 : (ENTRY_BYTES_MAX - frame) / 4 * 3;
}

/* Either alphabet, not both at once. */
static bool decode_either(struct span text, struct buf *out)
{
    return base64_decode(text, out) || (!out->failed && base64url_decode(text, out));
}

static enum err take_signature(const struct json_value *item, struct dsse_signature *out, struct why *why)
{
    struct span sig;
    struct buf bytes = BUF_EMPTY;
    const struct json_value *keyid = json_member(item, "keyid");
    if (keyid != NULL && !json_is(keyid, KIND_NULL) && !json_is(keyid, KIND_STRING))
        return fail(why, ERR_MALFORMED, "a signature's keyid is not a string");
    enum err err = json_get_string(item, "a signature", "sig", &sig, why);
    if (err != OK)
        return err;
    if (sig.len == 0 || !decode_either(sig, &bytes)) {
        buf_free(&bytes);
        return fail(why, ERR_MALFORMED, "a signature is not base64");
    }
    out->ed25519 = bytes.len == sizeof out->sig;
    if (out->ed25519)
        memcpy(out->sig, bytes.data, bytes.len);
    out->keyid = json_text(keyid);
    buf_free(&bytes);
    return OK;
}

static enum err read_members(struct dsse *out, struct why *why)
{
    struct span payload;
    const struct json_value *root = json_root(&out->json), *bundled = json_member(root, "dsseEnvelope"), *list;
    struct json inner;
    if (bundled != NULL && json_member(root, "payload") != NULL)
        return fail(why, ERR_MALFORMED, "it is an envelope and a bundle at once");
    if (bundled != NULL)
        root = bundled;
    enum err err = json_get_string(root, "", "payloadType", &out->payload_type, why);
    if (err == OK && !span_is(out->payload_type, IN_TOTO_TYPE))
        err = fail(why, ERR_MALFORMED, "the payloadType is %.*s, not " IN_TOTO_TYPE, SPAN_FMT(out->payload_type));
    if (err == OK)
        err = json_get_string(root, "", "payload", &payload, why);
    if (err == OK && !decode_either(payload, &out->payload))
        err = fail(why, ERR_MALFORMED, "the payload is not base64");
    if (err == OK)
        err = json_get_list(root, "", "signatures", &list, why);
    if (err == OK)
        err = json_parse(&inner, span_buf(&out->payload), "the payload", why);
    if (err != OK)
        return err;
    json_free(&inner);
    out->signatures = calloc(json_items(list) + 1, sizeof *out->signatures);
    if (out->signatures == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (const struct json_value *item = json_first(list); item != NULL && err == OK; item = json_next(list, item))
        err = take_signature(item, &out->signatures[out->n++], why);
    return err;
}

enum err dsse_parse(struct dsse *out, struct span text, struct why *why)
{
    *out = (struct dsse){ 0 };
    enum err err = json_parse(&out->json, text, "the envelope", why);
    if (err == OK)
        err = read_members(out, why);
    if (err != OK)
        dsse_free(out);
    return err;
}

void dsse_free(struct dsse *dsse)
{
    json_free(&dsse->json);
    buf_free(&dsse->payload);
    free(dsse->signatures);
    *dsse = (struct dsse){ 0 };
}

size_t dsse_signed_by(const struct dsse *dsse, const struct span *keyids, const uint8_t (*keys)[32], size_t n)
{
    struct buf pae = BUF_EMPTY;
    size_t count = 0;
    dsse_pae(&pae, dsse->payload_type, span_buf(&dsse->payload));
    for (size_t k = 0; k < n && !pae.failed; k++) {
        bool repeated = false, signed_it = false;
        for (size_t e = 0; e < k; e++)
            repeated |= memcmp(keys[e], keys[k], 32) == 0;
        for (size_t i = 0; i < dsse->n && !signed_it && !repeated; i++) {
            const struct dsse_signature *sig = &dsse->signatures[i];
            /* A keyid is a hint: one that names another key spares the verification. */
            bool hinted_away = sig->keyid.len > 0 && keyids[k].len > 0 && !span_eq(sig->keyid, keyids[k]);
            signed_it = sig->ed25519 && !hinted_away && ed25519_verify(sig->sig, span_buf(&pae), keys[k]);
        }
        count += signed_it;
    }
    buf_free(&pae);
    return count;
}
