#include "tests/unit/support.h"

#include "lib/note.h"
#include "lib/sys/key.h"

enum { KEYS_MAX = 128 };

/* The known keys of an `open` case; the case's own strings hold the names. */
static size_t known_keys(const json_t *object, struct vkey *keys)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(object, "vkeys"), i, item)
    {
        struct why why;
        assert_true(i < KEYS_MAX);
        if (vkey_parse(&keys[i], span_str(json_string_value(item)), SIG_ED25519, &why) != OK)
            assert_string_equal(why.text, "");
    }
    return i;
}

static void check_verified(const json_t *object, const struct vkey *keys, const bool *verified, size_t n)
{
    size_t count = 0, i;
    const json_t *expected = json_object_get(object, "verified"), *item;
    for (i = 0; i < n; i++)
        count += verified[i];
    assert_int_equal(count, json_array_size(expected));
    json_array_foreach(expected, i, item)
    {
        uint8_t id[4];
        bool found = false;
        vector_hex(item, "id", id, sizeof id);
        for (size_t k = 0; k < n; k++)
            found |= verified[k] && keys[k].id == get_be32(id) && span_is(keys[k].name, vector_text(item, "name"));
        assert_true(found);
    }
}

static bool open_note(const json_t *object)
{
    struct buf text = BUF_EMPTY, expected = BUF_EMPTY;
    struct vkey keys[KEYS_MAX];
    bool verified[KEYS_MAX] = { false };
    struct note note;
    size_t unverified;
    assert_true(vector_bytes(object, "note", &text));
    size_t n = known_keys(object, keys);
    bool accepted =
        note_parse(&note, span_buf(&text), NULL) == OK && note_verify(&note, keys, n, verified, &unverified, NULL) == OK;
    if (accepted && json_is_true(json_object_get(object, "ok"))) {
        assert_true(vector_bytes(object, "text", &expected));
        assert_true(span_eq(note.text, span_buf(&expected)));
        check_verified(object, keys, verified, n);
        assert_int_equal(unverified, vector_number(object, "unverified"));
    }
    buf_free(&text);
    buf_free(&expected);
    return accepted;
}

static bool parse_vkey(const json_t *object)
{
    struct buf text = BUF_EMPTY, again = BUF_EMPTY;
    struct vkey key;
    assert_true(vector_bytes(object, "vkey", &text));
    bool accepted = vkey_parse(&key, span_buf(&text), SIG_ED25519, NULL) == OK;
    if (accepted && json_is_true(json_object_get(object, "ok"))) {
        uint8_t id[4], public_key[32];
        vector_hex(object, "id", id, sizeof id);
        vector_hex(object, "public_key", public_key, sizeof public_key);
        assert_true(span_is(key.name, vector_text(object, "key_name")));
        assert_int_equal(key.id, get_be32(id));
        assert_int_equal(key.type, vector_number(object, "type"));
        assert_memory_equal(key.key, public_key, sizeof public_key);
        vkey_render(&again, &key);
        assert_true(span_eq(span_buf(&again), span_buf(&text)));
        struct hash hash = vkey_hash(&key), whole = sha256_of(span_buf(&text));
        assert_true(hash_eq(&hash, &whole));
    }
    buf_free(&text);
    buf_free(&again);
    return accepted;
}

static bool parse_skey(const json_t *object)
{
    struct buf text = BUF_EMPTY, vkey = BUF_EMPTY, again = BUF_EMPTY;
    struct secret_key *key;
    assert_true(vector_bytes(object, "skey", &text));
    bool accepted = secret_key_parse(&key, span_buf(&text), SIG_ED25519, NULL) == OK;
    if (accepted) {
        struct vkey public = secret_key_vkey(key);
        vkey_render(&vkey, &public);
        if (json_is_true(json_object_get(object, "ok")))
            assert_true(span_is(span_buf(&vkey), vector_text(object, "vkey")));
        secret_key_render(&again, key);
        assert_true(span_eq(span_buf(&again), span_buf(&text)));
        secret_key_free(key);
    }
    buf_free(&text);
    buf_free(&vkey);
    buf_free(&again);
    return accepted;
}

static bool sign_note(const json_t *object)
{
    struct secret_key *key;
    struct buf text = BUF_EMPTY, note = BUF_EMPTY;
    struct note parsed;
    uint8_t sig[64];
    struct why why;
    assert_int_equal(secret_key_parse(&key, span_str(vector_text(object, "skey")), SIG_ED25519, &why), OK);
    assert_true(vector_bytes(object, "text", &text));
    assert_int_equal(secret_key_sign(key, span_buf(&text), sig, &why), OK);
    struct vkey public = secret_key_vkey(key);
    buf_span(&note, span_buf(&text));
    buf_byte(&note, '\n');
    note_sig_render(&note, &public, span_of(sig, sizeof sig));
    /* What cannot be signed as a note does not come back as one with this text. */
    bool accepted = note_parse(&parsed, span_buf(&note), &why) == OK && span_eq(parsed.text, span_buf(&text));
    if (accepted)
        assert_true(span_is(span_buf(&note), vector_text(object, "note")));
    secret_key_free(key);
    buf_free(&text);
    buf_free(&note);
    return accepted;
}

static bool one(const json_t *object)
{
    const char *kind = vector_text(object, "kind");
    if (strcmp(kind, "open") == 0)
        return open_note(object);
    if (strcmp(kind, "vkey") == 0)
        return parse_vkey(object);
    if (strcmp(kind, "skey") == 0)
        return parse_skey(object);
    assert_string_equal(kind, "sign");
    return sign_note(object);
}

static void notes(void **state)
{
    (void)state;
    struct why why;
    assert_int_equal(key_system_start(&why), OK);
    run_vectors("notes.json", NULL, one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(notes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
