#include "log/lookups.h"

#include <stdlib.h>

#include "lib/encode.h"

enum err lookup_hash_part(uint8_t out[HASH_PART_BYTES], struct span text, struct why *why)
{
    if (!storepath_hash_part_ok(text) || !nix32_decode(text, out, HASH_PART_BYTES))
        return fail(why, ERR_MALFORMED, "a hash part has 32 characters of Nix's base 32");
    return OK;
}

enum err lookup_builder(struct hash *out, struct span text, struct why *why)
{
    if (!hex_decode(text, out->b, sizeof out->b))
        return fail(why, ERR_MALFORMED, "a builder is named by the SHA-256 of its vkey in lower-case hex");
    return OK;
}

static enum err add_builder(struct lookup_builders *builders, struct span hex, struct why *why)
{
    if (builders->n == LOOKUP_BUILDERS_MAX)
        return fail(why, ERR_REFUSED, "more than %d builders are named", LOOKUP_BUILDERS_MAX);
    return lookup_builder(&builders->hashes[builders->n++], hex, why);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

static void sort_builders(struct lookup_builders *builders)
{
    size_t given = builders->n;
    qsort(builders->hashes, given, sizeof *builders->hashes, by_bytes);
    builders->n = 0;
    for (size_t i = 0; i < given; i++)
        if (builders->n == 0 || !hash_eq(&builders->hashes[builders->n - 1], &builders->hashes[i]))
            builders->hashes[builders->n++] = builders->hashes[i];
}

enum err lookup_builders(struct lookup_builders *out, const char *list, struct why *why)
{
    out->n = 0;
    if (list == NULL)
        return OK;
    struct span rest = span_str(list);
    enum err err;
    ptrdiff_t comma;
    while ((comma = span_find(rest, ',')) >= 0) {
        if ((err = add_builder(out, span_cut(rest, 0, (size_t)comma), why)) != OK)
            return fail_in(why, err, "`builder`, a list separated by commas");
        rest = span_cut(rest, (size_t)comma + 1, rest.len - (size_t)comma - 1);
    }
    if ((err = add_builder(out, rest, why)) != OK)
        return fail_in(why, err, "`builder`, a list separated by commas");
    sort_builders(out);
    return OK;
}

enum err lookup_after(uint64_t *from, const char *text, struct why *why)
{
    uint64_t after;
    *from = 0;
    if (text == NULL)
        return OK;
    if (!span_decimal(span_str(text), TREE_SIZE_MAX - 1, &after))
        return fail(why, ERR_MALFORMED, "`after` is an index");
    *from = after + 1;
    return OK;
}

/* The last line may lack its newline. */
static bool take_line(struct span *rest, struct span *line)
{
    if (span_line(rest, line))
        return true;
    *line = *rest;
    *rest = span_of("", 0);
    return line->len > 0;
}

enum err lookup_list_parse(struct lookup_list *out, struct span body, struct why *why)
{
    struct span rest = body, line;
    uint8_t hash_part[HASH_PART_BYTES];
    enum err err = OK;
    out->parts = body;
    out->builders.n = out->n = 0;
    for (size_t number = 1; err == OK && take_line(&rest, &line); number++) {
        if (out->n == 0 && span_skip(&line, "builder ")) {
            err = add_builder(&out->builders, line, why);
            out->parts = rest;
        } else if (out->n++ == LOOKUP_PARTS_MAX) {
            return fail(why, ERR_REFUSED, "more than %d hash parts", LOOKUP_PARTS_MAX);
        } else {
            err = lookup_hash_part(hash_part, line, why);
        }
        if (err != OK)
            return fail_in(why, err, "line %zu", number);
    }
    if (out->n == 0)
        return fail(why, ERR_MALFORMED, "no hash part is asked for");
    sort_builders(&out->builders);
    return OK;
}

bool lookup_list_next(struct span *parts, uint8_t out[HASH_PART_BYTES])
{
    struct span line;
    return take_line(parts, &line) && lookup_hash_part(out, line, NULL) == OK;
}
