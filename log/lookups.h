/*
 * What is asked of the indices: how the arguments of the look-up routes are read (spec/log.md).
 */
#ifndef STELE_LOG_LOOKUPS_H
#define STELE_LOG_LOOKUPS_H

#include "log/limits.h"
#include "log/store.h"

/* Named by the SHA-256 of their vkeys; sorted, without doubles. */
struct lookup_builders {
    struct hash hashes[LOOKUP_BUILDERS_MAX];
    size_t n;
};

/* All of these: ERR_MALFORMED, and ERR_REFUSED where more is asked than one question may. */
enum err lookup_hash_part(uint8_t out[HASH_PART_BYTES], struct span text, struct why *why);
/* HEX. */
enum err lookup_builder(struct hash *out, struct span text, struct why *why);
/* "HEX,HEX"; NULL names none. */
enum err lookup_builders(struct lookup_builders *out, const char *list, struct why *why);
/* *from is the index after the one given; 0 for NULL. */
enum err lookup_after(uint64_t *from, const char *text, struct why *why);

/* The body of POST /outputs: lines "builder HEX", then hash parts. */
struct lookup_list {
    struct lookup_builders builders;
    struct span parts; /* the lines of hash parts, borrowed from the body */
    size_t n;
};
enum err lookup_list_parse(struct lookup_list *out, struct span body, struct why *why);
/* Takes the next hash part out of `parts` of a parsed list; false where none is left. */
bool lookup_list_next(struct span *parts, uint8_t out[HASH_PART_BYTES]);

#endif
