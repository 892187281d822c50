/*
 * The `.Z` format of compress(1), which Nix writes and reads as "compress": LZW codes of 9 to 16 bits, least significant bit
 * first, in groups of eight. It has no check sum and no end mark: its end is the input's.
 */
#ifndef STELE_LZW_H
#define STELE_LZW_H

#include "lib/bytes.h"

enum { LZW_BITS_MAX = 16, LZW_CODES = 1 << LZW_BITS_MAX };

struct lzw {
    unsigned head_n;         /* header bytes taken, of three */
    unsigned bits_max, bits; /* the stream's largest code width, and the present one */
    bool clears;             /* code 256 empties the table */
    uint32_t held, held_n;   /* bits taken and not used yet */
    unsigned group_n, skip;  /* codes of this group; bits to pass over up to its end */
    unsigned next;           /* the code that the table gets next */
    int32_t before;          /* the last code; -1 for none */
    uint8_t first;           /* the first byte that it stood for */
    uint16_t prefix[LZW_CODES];
    uint8_t suffix[LZW_CODES];
    uint8_t stack[LZW_CODES]; /* what a code stands for, last byte first */
    size_t stack_n;
};

void lzw_start(struct lzw *lzw);
/* Moves *in and *out forward as far as both allow. ERR_MALFORMED. */
enum err lzw_run(struct lzw *lzw, struct span *in, uint8_t **out, size_t *room, struct why *why);
/* Could the data end here? */
bool lzw_may_end(const struct lzw *lzw);

#endif
