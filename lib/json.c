/* What was read, and how strings are written; lib/json_parse.c reads. */
#include "lib/json.h"

const struct json_value *json_root(const struct json *json)
{
    return json->n == 0 ? NULL : json->values;
}

bool json_is(const struct json_value *value, enum json_kind kind)
{
    return value != NULL && value->kind == kind;
}

const struct json_value *json_member(const struct json_value *object, const char *key)
{
    if (!json_is(object, KIND_OBJECT))
        return NULL;
    struct span wanted = span_str(key);
    const struct json_value *member = object + 1;
    for (uint32_t i = 0; i < object->n; i++, member += member->spread)
        if (span_eq(member->key, wanted))
            return member;
    return NULL;
}

size_t json_items(const struct json_value *list)
{
    return json_is(list, KIND_LIST) ? list->n : 0;
}

const struct json_value *json_first(const struct json_value *list)
{
    return json_items(list) == 0 ? NULL : list + 1;
}

const struct json_value *json_next(const struct json_value *list, const struct json_value *item)
{
    item += item->spread;
    return item < list + list->spread ? item : NULL;
}

struct span json_text(const struct json_value *value)
{
    return json_is(value, KIND_STRING) ? value->text : span_of(NULL, 0);
}

static enum err member_of(const struct json_value *object, const char *path, const char *key, enum json_kind kind,
                          const char *wanted, const struct json_value **out, struct why *why)
{
    *out = json_member(object, key);
    if (*out == NULL)
        return fail(why, ERR_MALFORMED, "%s%s%s is missing", path, *path != '\0' ? "." : "", key);
    if (!json_is(*out, kind))
        return fail(why, ERR_MALFORMED, "%s%s%s is not %s", path, *path != '\0' ? "." : "", key, wanted);
    return OK;
}

enum err json_get_string(const struct json_value *object, const char *path, const char *key, struct span *out, struct why *why)
{
    const struct json_value *value;
    enum err err = member_of(object, path, key, KIND_STRING, "a string", &value, why);
    if (err == OK)
        *out = value->text;
    return err;
}

enum err json_get_list(const struct json_value *object, const char *path, const char *key, const struct json_value **out,
                       struct why *why)
{
    return member_of(object, path, key, KIND_LIST, "a list", out, why);
}

enum err json_get_count(const struct json_value *object, const char *path, const char *key, uint64_t *out, struct why *why)
{
    const struct json_value *value;
    enum err err = member_of(object, path, key, KIND_INTEGER, "a whole number", &value, why);
    if (err != OK || span_is(value->text, "-0")) {
        *out = 0;
        return err;
    }
    if (!span_decimal(value->text, (UINT64_C(1) << 53) - 1, out))
        return fail(why, ERR_MALFORMED, "%s%s%s is not a whole number from 0 to 2^53 - 1", path, *path != '\0' ? "." : "", key);
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
