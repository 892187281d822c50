/*
 * What a log's answer leaves out: of one builder and path it holds the first 16 attestations, and of all at most 1,024 bundles and
 * 8 MiB (spec/log.md). Whoever judges a path has to have all of those that his trust file asks: the last one may be the one that
 * contradicts the others.
 */
#ifndef STELE_CLIENT_PROOFS_REST_H
#define STELE_CLIENT_PROOFS_REST_H

#include "lib/sys/http_client.h"

#define PROOFS_OF_ANYBODY span_str("*")

/* `answer` is what the log at `base` answered about `hash_parts` (lines). Where it is full for one of these and one of `builders`
 * (lines "builder HEX", or PROOFS_OF_ANYBODY), or cut, all that this builder attested of that path is asked for and appended, page
 * after page; some of it then stands there twice. Of anybody: of those who have something in the answer, for who else there is it
 * does not tell.
 *
 * Where that cannot be had, or is more than the limits at the top of client/proofs_rest.c, there is no answer for this hash part:
 * `missing` gets a line "HASHPART REASON", and what is about none of the others is left out. Of anybody what was had stays, and
 * the others' is asked for as well. ERR_ENV where memory is short. */
enum err proofs_rest(struct http_client *client, struct span base, struct span builders, struct span hash_parts, struct buf *answer,
                     struct buf *missing, struct why *why);
/* Is this hash part among the lines of `missing`? */
bool proofs_missing(struct span missing, struct span hash_part);

#endif
