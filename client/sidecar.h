/*
 * The file of proofs beside a narinfo, <hash part>.tlog-proof: what stands in it, and what is put into it.
 */
#ifndef STELE_CLIENT_SIDECAR_H
#define STELE_CLIENT_SIDECAR_H

#include "client/stapler.h"

/* Below what the gate reads of one source (client/gather.h), so that nobody can make a sidecar that is not read. */
enum { SIDECAR_BYTES_MAX = 1 << 20, SIDECAR_HEADS_KEPT_MAX = 256 };

/* Appends the sidecar of a hash part. First the proofs of `old`, which stands there, that verify; then those of `fresh` that
 * verified, name the path, and are of another entry; then what of `old` does not verify under this policy, since others have
 * another, unless `fresh` has a verified one of the same entry. What does not parse, and what would make it too large, is left
 * out: so those of the builders of the trust file, where there is one, come first of all. *proves: one of those that verify names
 * the path. ERR_ENV. */
enum err sidecar_merge(struct buf *out, struct stapler *by, struct span old, const struct evidence *fresh, struct span hash_part,
                       bool *proves, struct why *why);

#endif
