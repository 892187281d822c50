#include "lib/refscan.h"

#include <stdlib.h>

enum err refscan_start(struct refscan *out, const struct span *parts, size_t n, struct why *why)
{
    *out = (struct refscan){ .parts = parts, .n = n, .found = calloc(n + 1, sizeof *out->found) };
    return out->found == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

void refscan_free(struct refscan *scan)
{
    free(scan->found);
    *scan = (struct refscan){ 0 };
}

/* nix32 has no e, o, t and u. */
static bool in_alphabet(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z' && c != 'e' && c != 'o' && c != 't' && c != 'u');
}

static int by_bytes(const void *key, const void *part)
{
    return memcmp(key, ((const struct span *)part)->data, HASH_PART_LEN);
}

/* Windows of 32 bytes, looked at from their last byte: one that is in no hash part rules out all windows with it. */
static void scan_bytes(struct refscan *scan, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (len - at >= HASH_PART_LEN) {
        size_t back = HASH_PART_LEN;
        while (back > 0 && in_alphabet(data[at + back - 1]))
            back--;
        if (back > 0) {
            at += back;
            continue;
        }
        const struct span *part = scan->n == 0 ? NULL : bsearch(data + at, scan->parts, scan->n, sizeof *part, by_bytes);
        if (part != NULL)
            scan->found[part - scan->parts] = true;
        at++;
    }
}

void refscan_add(struct refscan *scan, struct span bytes)
{
    uint8_t joint[2 * (HASH_PART_LEN - 1)];
    size_t head = bytes.len < HASH_PART_LEN - 1 ? bytes.len : HASH_PART_LEN - 1, keep = HASH_PART_LEN - 1;
    if (bytes.len == 0)
        return;
    memcpy(joint, scan->tail, scan->tail_len);
    memcpy(joint + scan->tail_len, bytes.data, head);
    scan_bytes(scan, joint, scan->tail_len + head);
    scan_bytes(scan, bytes.data, bytes.len);
    if (bytes.len >= keep) {
        memcpy(scan->tail, bytes.data + bytes.len - keep, keep);
        scan->tail_len = keep;
    } else {
        size_t joined = scan->tail_len + head, from = joined > keep ? joined - keep : 0;
        memcpy(scan->tail, joint + from, joined - from);
        scan->tail_len = joined - from;
    }
}
