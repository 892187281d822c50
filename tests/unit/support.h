/*
 * What the unit tests share: test vectors from STELE_VECTORS (default ../shared/vectors), counted case by case.
 */
#ifndef STELE_TESTS_SUPPORT_H
#define STELE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is lib/why.h's */

#include <jansson.h>

#include "lib/bytes.h"
#include "lib/sys/sanitized.h"

/* A vector whose verdict the specification leaves open ("level": "may") and where ours differs, with our reason. */
struct exception {
    const char *name; /* the case's, or a prefix of it that ends in '*' */
    const char *reason;
};

/* Runs `one` on every object of FILE.json; it returns whether Stele accepted the case (and fails the test itself where an
 * accepted case gives other values). A verdict other than the case's "ok" fails, unless the case is a "may" and stands in
 * `exceptions` (ended by a NULL name). Prints "FILE.json: N cases, …". Skips, with a line, where the file is absent. */
void run_vectors(const char *file, const struct exception *exceptions, bool (*one)(const json_t *object));

/* The folder of the vectors, or NULL (after printing the line of a skip) where it is absent. */
const char *vectors_dir(void);
/* A file under the vectors' folder, whole; the caller frees out->data. False where it is absent. */
bool vectors_read(const char *name, struct buf *out);

/* Member `key`, or `key`_b64 decoded, into `out` (appended). False where neither is there. */
bool vector_bytes(const json_t *object, const char *key, struct buf *out);
/* Borrowed text of member `key`, which must be a string without NUL; NULL where it is absent. */
const char *vector_text(const json_t *object, const char *key);
/* An unsigned number given as a JSON integer or as a string of digits. */
uint64_t vector_number(const json_t *object, const char *key);
/* Hex or standard base64 of member `key`, exactly `len` bytes; fails the test otherwise. */
void vector_hex(const json_t *object, const char *key, uint8_t *out, size_t len);

#endif
