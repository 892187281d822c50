#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

const char *vectors_dir(void)
{
    static const char *dir;
    if (dir != NULL)
        return dir;
    const char *named = getenv("STELE_VECTORS");
    const char *where = named != NULL ? named : "../shared/vectors";
    char path[4096];
    snprintf(path, sizeof path, "%s/notes.json", where);
    FILE *probe = fopen(path, "rb");
    if (probe == NULL) {
        fprintf(stderr, "SKIPPED: no test vectors in %s (set STELE_VECTORS to their folder)\n", where);
        return NULL;
    }
    fclose(probe);
    return dir = where;
}

bool vectors_read(const char *name, struct buf *out)
{
    if (vectors_dir() == NULL)
        return false;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", vectors_dir(), name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    uint8_t chunk[65536];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(out, chunk, len);
    fclose(file);
    assert_false(out->failed);
    return true;
}

static const char *excepted(const struct exception *exceptions, const char *name)
{
    for (; exceptions != NULL && exceptions->name != NULL; exceptions++) {
        size_t len = strlen(exceptions->name);
        if (strcmp(exceptions->name, name) == 0 ||
            (exceptions->name[len - 1] == '*' && strncmp(exceptions->name, name, len - 1) == 0))
            return exceptions->reason;
    }
    return NULL;
}

void run_vectors(const char *file, const struct exception *exceptions, bool (*one)(const json_t *object))
{
    struct buf text = BUF_EMPTY;
    if (!vectors_read(file, &text))
        skip();
    json_error_t error;
    json_t *cases = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &error);
    assert_non_null(cases);
    size_t i, ok = 0, bad = 0, wrong = 0, open = 0;
    const json_t *object;
    json_array_foreach(cases, i, object)
    {
        const char *name = json_string_value(json_object_get(object, "name"));
        bool expected = json_is_true(json_object_get(object, "ok"));
        bool accepted = one(object);
        expected ? ok++ : bad++;
        if (accepted == expected)
            continue;
        const char *level = json_string_value(json_object_get(object, "level"));
        const char *reason = level == NULL || strcmp(level, "may") != 0 ? NULL : excepted(exceptions, name);
        if (reason != NULL) {
            open++;
            continue;
        }
        wrong++;
        fprintf(stderr, "%s: %s: %s, expected %s: %s\n", file, name, accepted ? "accepted" : "refused",
                expected ? "accepted" : "refused", json_string_value(json_object_get(object, "why")));
    }
    printf("# %s: %zu cases, %zu right and %zu wrong ones; %zu open ones decided otherwise; %zu failed\n", file, ok + bad, ok, bad,
           open, wrong);
    json_decref(cases);
    buf_free(&text);
    assert_int_equal(wrong, 0);
}

const char *vector_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool vector_bytes(const json_t *object, const char *key, struct buf *out)
{
    const json_t *plain = json_object_get(object, key);
    if (json_is_string(plain)) {
        buf_add(out, json_string_value(plain), json_string_length(plain));
        return true;
    }
    char name[128];
    snprintf(name, sizeof name, "%s_b64", key);
    const json_t *encoded = json_object_get(object, name);
    if (!json_is_string(encoded))
        return false;
    size_t len = json_string_length(encoded), got;
    uint8_t *at = buf_grow(out, len + 1);
    assert_non_null(at);
    assert_int_equal(sodium_base642bin(at, len + 1, json_string_value(encoded), len, NULL, &got, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    out->len -= len + 1 - got;
    return true;
}

uint64_t vector_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value))
        return (uint64_t)json_integer_value(value);
    assert_true(json_is_string(value));
    return strtoull(json_string_value(value), NULL, 10);
}

void vector_hex(const json_t *object, const char *key, uint8_t *out, size_t len)
{
    const char *text = vector_text(object, key);
    assert_non_null(text);
    size_t got = 0, text_len = strlen(text);
    int failed = text_len == 2 * len
                     ? sodium_hex2bin(out, len, text, text_len, NULL, &got, NULL)
                     : sodium_base642bin(out, len, text, text_len, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL);
    assert_int_equal(failed, 0);
    assert_int_equal(got, len);
}
