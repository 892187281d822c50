/*
 * An answer that is larger than who asked can take: in a log that takes anybody's attestations, strangers can say as much of a path
 * as they like, and must not keep those from being heard whom the user named.
 */
#ifndef STELE_CLIENT_PROOFS_TRIM_H
#define STELE_CLIENT_PROOFS_TRIM_H

#include "lib/bytes.h"

/* Where `bundles` are more than `bytes_max`, proofs by others than `builders` (lines "builder HEX") go, as many as have to; what
 * does not parse goes with them. More than `bytes_max` stay only where those of the builders are more. ERR_ENV where memory is
 * short. */
enum err proofs_trim(struct buf *bundles, struct span builders, size_t bytes_max, struct why *why);

/* How much of one log's answer is taken where the policy names `logs_n`: at most GATHER_SOURCE_BYTES_MAX, and of all logs as much as
 * fits into one question to the gate's signer (lib/sys/frame.h), with the narinfo and what the own store and a sidecar hold. */
size_t proofs_room(size_t logs_n);

#endif
