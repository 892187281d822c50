/*
 * STATE/delivery: what `stele deliver` leaves for `stele status`, a line each:
 *
 *     delivered-at SECONDS     POSIX time of the last delivery; 0 for never
 *     log URL WHY              a log of the policy, and why it takes nothing; nothing after the space where it does
 *     waits WHY                why the last attestation waits
 */
#ifndef STELE_CLIENT_DELIVERY_REPORT_H
#define STELE_CLIENT_DELIVERY_REPORT_H

#include "lib/bytes.h"

enum { DELIVERY_REPORT_BYTES_MAX = 1 << 20 };
enum delivery_word { DELIVERED_AT, DELIVERY_LOG, DELIVERY_WAITS };

struct delivery_line {
    enum delivery_word word;
    uint64_t time_s;      /* of DELIVERED_AT */
    struct span url, why; /* of the others */
};

/* False for a line that is none of these: one of a later version. */
bool delivery_line_parse(struct delivery_line *out, struct span line);
/* With its newline. */
void delivery_line_render(struct buf *out, const struct delivery_line *line);

#endif
