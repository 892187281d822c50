/* The parser of JSON. It works on a copy that ends in a NUL, which no JSON holds: nothing needs to look for the end. */
#include <stdlib.h>

#include "lib/json.h"
#include "lib/limits.h"

struct reader {
    struct json *json;
    uint8_t *at;
    unsigned depth;
    enum err err;       /* ERR_ENV where memory was short */
    const char *reason; /* of the first error, which is at `at` */
};

static bool stop(struct reader *reader, const char *reason)
{
    reader->err = ERR_MALFORMED;
    reader->reason = reason;
    return false;
}

static bool out_of_memory(struct reader *reader)
{
    reader->err = ERR_ENV;
    return false;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r')
        reader->at++;
}

/* Takes `c`, and white space before it. */
static bool take(struct reader *reader, char c)
{
    skip_space(reader);
    if (*reader->at != (uint8_t)c)
        return false;
    reader->at++;
    return true;
}

static int hex_digit(uint8_t c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "uXXXX" at `in`. */
static bool take_unit(const uint8_t *in, uint32_t *out)
{
    *out = 0;
    if (in[0] != 'u')
        return false;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(in[i]);
        if (digit < 0)
            return false; /* and looks no further: this may be the end */
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* UTF-8 of a character other than NUL and surrogates. */
static uint8_t *put_character(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (uint8_t)(0xe0 | c >> 12);
        } else {
            *out++ = (uint8_t)(0xf0 | c >> 18);
            *out++ = (uint8_t)(0x80 | (c >> 12 & 63));
        }
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
    }
    *out++ = (uint8_t)(0x80 | (c & 63));
    return out;
}

/* The escape at `in`, after its backslash, becomes bytes at `out`, never more than it had. NULL where it is none. */
static uint8_t *undo_escape(uint8_t **in, uint8_t *out)
{
    static const char letters[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    const char *letter = **in == '\0' ? NULL : strchr(letters, **in);
    if (letter != NULL) {
        *in += 1;
        *out++ = (uint8_t)characters[letter - letters];
        return out;
    }
    uint32_t c, low;
    if (!take_unit(*in, &c) || c == 0)
        return NULL;
    *in += 5;
    if (c >= 0xd800 && c < 0xdc00) {
        if (**in != '\\' || !take_unit(*in + 1, &low) || low < 0xdc00 || low >= 0xe000)
            return NULL;
        *in += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return NULL;
    }
    return put_character(out, c);
}

static bool take_string(struct reader *reader, struct span *out)
{
    if (!take(reader, '"'))
        return stop(reader, "a string is wanted");
    uint8_t *from = reader->at, *to, *in = from, high = 0;
    for (; *in >= 0x20 && *in != '"' && *in != '\\'; in++)
        high |= *in;
    for (to = in; *in != '"';) {
        if (*in < 0x20) {
            reader->at = in;
            return stop(reader, "a string has a control character, or does not end");
        }
        if (*in != '\\') {
            high |= *in;
            *to++ = *in++;
            continue;
        }
        reader->at = in++;
        if ((to = undo_escape(&in, to)) == NULL)
            return stop(reader, "an escape that is none, half a surrogate pair, or \\u0000");
    }
    *out = span_of(from, (size_t)(to - from));
    /* An escape gives whole characters: what is valid with it was valid without it. */
    if ((high & 0x80) != 0 && !span_utf8(*out))
        return stop(reader, "a string is no valid UTF-8");
    reader->at = in + 1;
    return true;
}

static bool take_digits(struct reader *reader)
{
    if (!is_digit(*reader->at))
        return stop(reader, "a digit is wanted");
    while (is_digit(*reader->at))
        reader->at++;
    return true;
}

/* Does a whole number fit 64 bits with sign? */
static bool integer_fits(struct span digits, bool negative)
{
    uint64_t value;
    return span_decimal(digits, (uint64_t)INT64_MAX + negative, &value);
}

/* 2^1024 - 2^970: from there on a number is rounded to what is no double any more. */
static const char too_large[] = "17976931348623158079372897140530341507993413271003782693617377898044496829276475"
                                "09466490179775872070963302864166928879109465555478519404026306574886715058206819"
                                "08902000708383676273854845817711531764475730270069855571366959622842914819860834"
                                "936475292719074168444365510704342711559699508093042880177904174497792";

/* `digits` may hold a point. Compared with the bound as 0.D × 10^magnitude, D's first digit not being 0. */
static bool real_fits(struct span digits, int64_t exponent)
{
    int64_t magnitude = exponent;
    size_t used = 0;
    int order = 0;
    bool begun = false, after_point = false;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = digits.data[i];
        if (c == '.') {
            after_point = true;
            continue;
        }
        begun |= c != '0';
        magnitude += begun ? !after_point : -(int64_t)after_point;
        if (!begun)
            continue;
        uint8_t bound = used < sizeof too_large - 1 ? (uint8_t)too_large[used++] : '0';
        if (order == 0 && c != bound)
            order = c < bound ? -1 : 1;
    }
    int64_t bound_magnitude = sizeof too_large - 1;
    if (!begun || magnitude != bound_magnitude)
        return !begun || magnitude < bound_magnitude;
    for (; order == 0 && used < sizeof too_large - 1; used++)
        order = too_large[used] > '0' ? -1 : 0;
    return order < 0;
}

/* The exponent after an "e"; a number too large for any double's is as good as any other such. */
static bool take_exponent(struct reader *reader, int64_t *out)
{
    const int64_t large = INT64_C(1) << 40; /* a text is shorter */
    bool negative = *reader->at == '-';
    if (*reader->at == '+' || negative)
        reader->at++;
    const uint8_t *from = reader->at;
    if (!take_digits(reader))
        return false;
    for (*out = 0; from < reader->at; from++)
        *out = *out < large ? *out * 10 + (*from - '0') : large;
    if (negative)
        *out = -*out;
    return true;
}

static bool take_number(struct reader *reader, struct json_value *out)
{
    const uint8_t *from = reader->at;
    bool negative = *from == '-';
    reader->at += negative;
    const uint8_t *digits = reader->at;
    int64_t exponent = 0;
    if (!take_digits(reader))
        return false;
    if (*digits == '0' && reader->at - digits > 1)
        return stop(reader, "a number with leading zeros");
    out->kind = *reader->at == '.' || *reader->at == 'e' || *reader->at == 'E' ? KIND_REAL : KIND_INTEGER;
    if (*reader->at == '.') {
        reader->at++;
        if (!take_digits(reader))
            return false;
    }
    struct span mantissa = span_of(digits, (size_t)(reader->at - digits));
    if (*reader->at == 'e' || *reader->at == 'E') {
        reader->at++;
        if (!take_exponent(reader, &exponent))
            return false;
    }
    if (out->kind == KIND_INTEGER ? !integer_fits(mantissa, negative) : !real_fits(mantissa, exponent))
        return stop(reader, "a number beyond its range");
    out->text = span_of(from, (size_t)(reader->at - from));
    return true;
}

static bool take_word(struct reader *reader, struct json_value *out)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = { { "true", KIND_TRUE }, { "false", KIND_FALSE }, { "null", KIND_NULL } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);
        if (strncmp((const char *)reader->at, words[i].word, len) == 0) {
            out->kind = words[i].kind;
            reader->at += len;
            return true;
        }
    }
    return stop(reader, "a value is wanted");
}

/* Puts `value`, which may move all others. */
static bool put(struct reader *reader, const struct json_value *value)
{
    struct json *json = reader->json;
    if (json->n == json->cap) {
        struct json_value *values = reallocarray(json->values, 2 * json->cap, sizeof *values);
        if (values == NULL)
            return out_of_memory(reader);
        json->values = values;
        json->cap *= 2;
    }
    json->values[json->n++] = *value;
    return true;
}

static int by_key(const void *a, const void *b)
{
    return span_cmp((*(const struct json_value *const *)a)->key, (*(const struct json_value *const *)b)->key);
}

enum { FEW_MEMBERS = 16 };

/* Has an object no member twice? Many are sorted, so that this costs little whatever is sent. */
static bool members_differ(struct reader *reader, const struct json_value *object)
{
    const struct json_value *few[FEW_MEMBERS], **members = few, *member = object + 1;
    bool differ = true;
    if (object->n > FEW_MEMBERS && (members = calloc(object->n, sizeof *members)) == NULL)
        return out_of_memory(reader);
    for (uint32_t i = 0; i < object->n; i++, member += member->spread) {
        members[i] = member;
        for (uint32_t k = 0; k < i && object->n <= FEW_MEMBERS; k++)
            differ = differ && !span_eq(members[k]->key, member->key);
    }
    if (object->n > FEW_MEMBERS) {
        qsort(members, object->n, sizeof *members, by_key);
        for (uint32_t i = 1; i < object->n; i++)
            differ = differ && !span_eq(members[i - 1]->key, members[i]->key);
        free(members);
    }
    return differ || stop(reader, "a duplicate member in the object that ends");
}

static bool take_value(struct reader *reader, struct span key);

/* A list's items or an object's members, after its bracket. */
static bool take_inside(struct reader *reader, size_t container, bool keyed)
{
    uint32_t n = 0;
    struct span key = { 0 };
    char end = keyed ? '}' : ']';
    if (++reader->depth > JSON_DEPTH_MAX)
        return stop(reader, "it is nested too deep");
    if (!take(reader, end)) {
        do {
            if (keyed && (!take_string(reader, &key) || (!take(reader, ':') && !stop(reader, "a colon is wanted"))))
                return false;
            if (!take_value(reader, key))
                return false;
            n++;
        } while (take(reader, ','));
        if (!take(reader, end))
            return stop(reader, keyed ? "a comma or } is wanted" : "a comma or ] is wanted");
    }
    reader->depth--;
    struct json_value *value = &reader->json->values[container];
    value->n = n;
    value->spread = (uint32_t)(reader->json->n - container);
    return !keyed || members_differ(reader, value);
}

static bool take_value(struct reader *reader, struct span key)
{
    struct json_value value = { .spread = 1, .key = key };
    skip_space(reader);
    uint8_t c = *reader->at;
    if (c == '{' || c == '[') {
        value.kind = c == '{' ? KIND_OBJECT : KIND_LIST;
        reader->at++;
        return put(reader, &value) && take_inside(reader, reader->json->n - 1, c == '{');
    }
    value.kind = KIND_STRING;
    return (c == '"'                  ? take_string(reader, &value.text)
            : c == '-' || is_digit(c) ? take_number(reader, &value)
                                      : take_word(reader, &value)) &&
           put(reader, &value);
}

static bool take_text(struct reader *reader, const uint8_t *end)
{
    skip_space(reader);
    if (*reader->at != '{' && *reader->at != '[')
        return stop(reader, "an object or a list is wanted");
    if (!take_value(reader, (struct span){ 0 }))
        return false;
    skip_space(reader);
    return reader->at == end || stop(reader, "something follows");
}

enum err json_parse(struct json *out, struct span text, const char *what, struct why *why)
{
    *out = (struct json){ 0 };
    if (text.len >= UINT32_MAX)
        return fail(why, ERR_MALFORMED, "%s is too long", what);
    /* A statement has a value for about 16 bytes. */
    out->cap = text.len / 16 + 8;
    out->text = malloc(text.len + 1);
    out->values = calloc(out->cap, sizeof *out->values);
    struct reader reader = { .json = out, .at = out->text };
    bool taken = out->text != NULL && out->values != NULL;
    if (taken) {
        if (text.len > 0)
            memcpy(out->text, text.data, text.len);
        out->text[text.len] = '\0';
        taken = take_text(&reader, out->text + text.len);
    } else {
        out_of_memory(&reader);
    }
    enum err err = taken                   ? OK
                   : reader.err == ERR_ENV ? fail(why, ERR_ENV, "out of memory")
                                           : fail(why, ERR_MALFORMED, "%s is no JSON that is taken: %s, at byte %zu", what,
                                                  reader.reason, (size_t)(reader.at - out->text));
    if (err != OK)
        json_free(out);
    return err;
}

void json_free(struct json *json)
{
    free(json->text);
    free(json->values);
    *json = (struct json){ 0 };
}
