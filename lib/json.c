#include "lib/json.h"

#include "lib/limits.h"

/* jansson's parser recurses to a fixed depth of 2,048; this bounds it before. Quotes decide what is a string, as in JSON. */
static bool depth_ok(struct span text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

enum err json_read(struct span text, const char *what, json_t **out, struct why *why)
{
    json_error_t error;
    if (!depth_ok(text))
        return fail(why, ERR_MALFORMED, "%s is nested more than %d deep", what, JSON_DEPTH_MAX);
    *out = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL)
        return fail(why, ERR_MALFORMED, "%s is no JSON that is taken: %s at byte %d", what, error.text, error.position);
    return OK;
}

static enum err member(const json_t *object, const char *path, const char *key, int type, const char *wanted, const json_t **out,
                       struct why *why)
{
    *out = json_is_object(object) ? json_object_get(object, key) : NULL;
    if (*out == NULL)
        return fail(why, ERR_MALFORMED, "%s%s%s is missing", path, *path != '\0' ? "." : "", key);
    if (json_typeof(*out) != (json_type)type)
        return fail(why, ERR_MALFORMED, "%s%s%s is not %s", path, *path != '\0' ? "." : "", key, wanted);
    return OK;
}

enum err json_get_string(const json_t *object, const char *path, const char *key, struct span *out, struct why *why)
{
    const json_t *value;
    enum err err = member(object, path, key, JSON_STRING, "a string", &value, why);
    if (err == OK)
        *out = span_of(json_string_value(value), json_string_length(value));
    return err;
}

enum err json_get_object(const json_t *object, const char *path, const char *key, const json_t **out, struct why *why)
{
    return member(object, path, key, JSON_OBJECT, "an object", out, why);
}

enum err json_get_array(const json_t *object, const char *path, const char *key, const json_t **out, struct why *why)
{
    return member(object, path, key, JSON_ARRAY, "a list", out, why);
}

enum err json_get_count(const json_t *object, const char *path, const char *key, uint64_t *out, struct why *why)
{
    const json_t *value;
    enum err err = member(object, path, key, JSON_INTEGER, "a whole number", &value, why);
    if (err != OK)
        return err;
    json_int_t number = json_integer_value(value);
    if (number < 0 || number >= INT64_C(1) << 53)
        return fail(why, ERR_MALFORMED, "%s%s%s is not a whole number from 0 to 2^53 - 1", path, *path != '\0' ? "." : "", key);
    *out = (uint64_t)number;
    return OK;
}

void json_put_string(struct buf *out, struct span text)
{
    static const char letters[] = "btnvfr"; /* for 8 to 13; there is no \v in JSON */
    buf_byte(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_span(out, span_cut(text, from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\')
            buf_fmt(out, "\\%c", c);
        else if (c >= 8 && c <= 13 && c != 11)
            buf_fmt(out, "\\%c", letters[c - 8]);
        else
            buf_fmt(out, "\\u%04x", c);
    }
    buf_span(out, span_cut(text, from, text.len - from));
    buf_byte(out, '"');
}
