/*
 * JSON as Stele takes it: one value, no repeated members, bounded depth (a scan before jansson, whose own limit is
 * fixed at 2,048), no NUL. Accessors that name the member at fault.
 */
#ifndef STELE_JSON_H
#define STELE_JSON_H

#include <jansson.h>

#include "lib/bytes.h"

/* `what` names the text in errors. The caller owns *out (json_decref). ERR_MALFORMED. */
enum err json_read(struct span text, const char *what, json_t **out, struct why *why);

/* A member of `object`, borrowed; ERR_MALFORMED, naming `path` (its place, as "subject[0]") and the member, where it is
 * missing or of another type. */
enum err json_get_string(const json_t *object, const char *path, const char *key, struct span *out, struct why *why);
enum err json_get_object(const json_t *object, const char *path, const char *key, const json_t **out, struct why *why);
enum err json_get_array(const json_t *object, const char *path, const char *key, const json_t **out, struct why *why);
/* A whole number from 0 to 2^53 - 1. */
enum err json_get_count(const json_t *object, const char *path, const char *key, uint64_t *out, struct why *why);

/* Appends `text` as a JSON string with its quotes: the one form (escapes only where RFC 8259 demands them, \uXXXX in
 * lower case except the two-letter escapes). Wants valid UTF-8. */
void json_put_string(struct buf *out, struct span text);

#endif
