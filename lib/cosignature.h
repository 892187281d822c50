/*
 * c2sp.org/tlog-cosignature: timestamped Ed25519 cosignatures of checkpoints (type 0x04). ML-DSA-44 (type 0x06) is not
 * supported yet: its keys are refused in configuration, its lines are unknown signatures and passed over.
 */
#ifndef STELE_COSIGNATURE_H
#define STELE_COSIGNATURE_H

#include "lib/checkpoint.h"

enum { COSIGNATURE_BYTES = 8 + 64 }; /* big-endian POSIX time, Ed25519 signature */

/* "cosignature/v1\ntime <time_s>\n" and the note text: what is signed. */
void cosignature_message(struct buf *out, uint64_t time_s, struct span text);

/* Verifies every line whose name and ID match one of `keys` (n, type SIG_COSIGNATURE). time_s[i] is the newest time
 * that key i cosigned at, or 0 where it did not (`verified[i]` tells the two apart). ERR_REFUSED where a known key's
 * line fails to verify or its time exceeds 2^63 - 1. No cosignature at all is not an error here. */
enum err cosignature_verify(const struct note *note, const struct vkey *keys, size_t n, bool *verified, uint64_t *time_s,
                            struct why *why);

/* One witness's answer to add-checkpoint: signature lines. Finds the line by `key`, verifies it over `text` and copies
 * it, rendered anew with its newline, to `line`. ERR_MALFORMED, ERR_REFUSED (no such line, wrong signature, time 0). */
enum err cosignature_from_reply(struct span reply, struct span text, const struct vkey *key, struct buf *line, uint64_t *time_s,
                                struct why *why);

#endif
