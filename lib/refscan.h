/*
 * Which of some store paths does a text refer to? As Nix finds the references of what it built: by their 32-character hash parts,
 * wherever they stand in the NAR.
 */
#ifndef STELE_REFSCAN_H
#define STELE_REFSCAN_H

#include "lib/storepath.h"

struct refscan {
    const struct span *parts; /* hash parts, sorted, each once */
    size_t n;
    bool *found; /* one for each part */
    uint8_t tail[HASH_PART_LEN - 1];
    size_t tail_len;
};

/* Borrows `parts`. ERR_ENV where memory is short. */
enum err refscan_start(struct refscan *out, const struct span *parts, size_t n, struct why *why);
/* The next bytes of the text; a hash part may lie across two calls. */
void refscan_add(struct refscan *scan, struct span bytes);
void refscan_free(struct refscan *scan);

#endif
