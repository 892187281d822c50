/*
 * JSON (RFC 8259) as Stele takes it: one object or list, valid UTF-8, no repeated members, no NUL, bounded depth, whole
 * numbers within 64 bits and others within a double's range: what jansson takes with JSON_REJECT_DUPLICATES, but for the
 * depth and for NULs. tests/unit/test_json.c and tests/fuzz/fuzz_json.c hold the two against each other.
 */
#ifndef STELE_JSON_H
#define STELE_JSON_H

#include "lib/bytes.h"

enum json_kind { KIND_NULL, KIND_TRUE, KIND_FALSE, KIND_INTEGER, KIND_REAL, KIND_STRING, KIND_LIST, KIND_OBJECT };

/* A value, followed in memory by those within it. */
struct json_value {
    enum json_kind kind;
    uint32_t n;       /* a list's items, an object's members */
    uint32_t spread;  /* values up to the next one beside it: 1 and those within */
    struct span key;  /* a member's name, without escapes */
    struct span text; /* a string without escapes, a number as it was written; empty for all others */
};

/* A text that was read. Everything in it borrows from it, and nothing from the text that was given. */
struct json {
    uint8_t *text; /* a copy, in which escapes are undone */
    struct json_value *values;
    size_t n, cap;
};

/* `what` names the text in errors. The caller frees *out (json_free), which is empty where it fails. ERR_MALFORMED, ERR_ENV. */
enum err json_parse(struct json *out, struct span text, const char *what, struct why *why);
void json_free(struct json *json);

/* The value that the text is; NULL where none was read. */
const struct json_value *json_root(const struct json *json);

/* All that follow take NULL for a value: that of another kind, or none. */
bool json_is(const struct json_value *value, enum json_kind kind);
const struct json_value *json_member(const struct json_value *object, const char *key); /* NULL where it has none */
size_t json_items(const struct json_value *list);                                       /* how many */
const struct json_value *json_first(const struct json_value *list);                     /* NULL where it is empty */
const struct json_value *json_next(const struct json_value *list, const struct json_value *item);
struct span json_text(const struct json_value *value); /* empty for what is no string */

/* A member of `object`, borrowed; ERR_MALFORMED, naming `path` (its place, as "subject[0]") and the member, where it is
 * missing or of another kind. */
enum err json_get_string(const struct json_value *object, const char *path, const char *key, struct span *out, struct why *why);
enum err json_get_list(const struct json_value *object, const char *path, const char *key, const struct json_value **out,
                       struct why *why);
/* A whole number from 0 to 2^53 - 1. */
enum err json_get_count(const struct json_value *object, const char *path, const char *key, uint64_t *out, struct why *why);

/* Appends `text` as a JSON string with its quotes: the one form (escapes only where RFC 8259 demands them, \uXXXX in
 * lower case except the two-letter escapes). Wants valid UTF-8. */
void json_put_string(struct buf *out, struct span text);

#endif
