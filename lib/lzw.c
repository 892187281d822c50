#include "lib/lzw.h"

enum { CLEAR = 256, BITS_MIN = 9, GROUP = 8 };

void lzw_start(struct lzw *lzw)
{
    lzw->head_n = 0;
    lzw->bits = BITS_MIN;
    lzw->held = lzw->held_n = lzw->skip = lzw->group_n = 0;
    lzw->before = -1;
    lzw->stack_n = 0;
}

static enum err take_head(struct lzw *lzw, uint8_t byte, struct why *why)
{
    static const uint8_t magic[] = { 0x1f, 0x9d };
    if (lzw->head_n < sizeof magic && byte != magic[lzw->head_n])
        return fail(why, ERR_MALFORMED, "no .Z header");
    if (lzw->head_n == sizeof magic) {
        lzw->bits_max = byte & 0x1f;
        lzw->clears = byte & 0x80;
        if (lzw->bits_max < BITS_MIN || lzw->bits_max > LZW_BITS_MAX || (byte & 0x60) != 0)
            return fail(why, ERR_MALFORMED, "a .Z header with unknown flags");
        lzw->next = lzw->clears ? CLEAR + 1 : CLEAR;
    }
    lzw->head_n++;
    return OK;
}

/* Groups are written whole: where the width changes, what is left of one is padding. */
static void next_width(struct lzw *lzw, unsigned bits)
{
    lzw->skip = lzw->group_n == 0 ? 0 : (GROUP - lzw->group_n) * lzw->bits;
    lzw->group_n = 0;
    lzw->bits = bits;
}

/* The next code; false where the input is used up. */
static bool take_code(struct lzw *lzw, struct span *in, unsigned *code)
{
    for (;;) {
        unsigned drop = lzw->skip < lzw->held_n ? lzw->skip : lzw->held_n;
        lzw->held >>= drop;
        lzw->held_n -= drop;
        lzw->skip -= drop;
        if (lzw->skip == 0 && lzw->held_n >= lzw->bits)
            break;
        if (in->len == 0)
            return false;
        lzw->held |= (uint32_t)in->data[0] << lzw->held_n;
        lzw->held_n += 8;
        *in = span_of(in->data + 1, in->len - 1);
    }
    *code = lzw->held & ((1u << lzw->bits) - 1);
    lzw->held >>= lzw->bits;
    lzw->held_n -= lzw->bits;
    lzw->group_n = (lzw->group_n + 1) % GROUP;
    return true;
}

static enum err take(struct lzw *lzw, unsigned code, struct why *why)
{
    unsigned given = code;
    if (code == CLEAR && lzw->clears) {
        lzw->next = CLEAR + 1;
        lzw->before = -1;
        next_width(lzw, BITS_MIN);
        return OK;
    }
    if (lzw->before < 0 ? code >= CLEAR : code > lzw->next || (code == lzw->next && code >= 1u << lzw->bits_max))
        return fail(why, ERR_MALFORMED, "a .Z code that stands for nothing");
    /* The very code that is about to be added: the last one, and its own first byte. */
    if (lzw->before >= 0 && code == lzw->next) {
        lzw->stack[lzw->stack_n++] = lzw->first;
        code = (unsigned)lzw->before;
    }
    for (; code >= CLEAR; code = lzw->prefix[code])
        lzw->stack[lzw->stack_n++] = lzw->suffix[code];
    lzw->first = lzw->stack[lzw->stack_n++] = (uint8_t)code;
    if (lzw->before >= 0 && lzw->next < 1u << lzw->bits_max) {
        lzw->prefix[lzw->next] = (uint16_t)lzw->before;
        lzw->suffix[lzw->next++] = lzw->first;
    }
    lzw->before = (int32_t)given;
    if (lzw->next >= 1u << lzw->bits && lzw->bits < lzw->bits_max)
        next_width(lzw, lzw->bits + 1);
    return OK;
}

enum err lzw_run(struct lzw *lzw, struct span *in, uint8_t **out, size_t *room, struct why *why)
{
    enum err err = OK;
    while (err == OK && lzw->head_n < 3 && in->len > 0) {
        err = take_head(lzw, in->data[0], why);
        *in = span_of(in->data + 1, in->len - 1);
    }
    while (err == OK && *room > 0) {
        unsigned code;
        for (; lzw->stack_n > 0 && *room > 0; --*room)
            *(*out)++ = lzw->stack[--lzw->stack_n];
        if (lzw->stack_n > 0 || lzw->head_n < 3 || !take_code(lzw, in, &code))
            break;
        err = take(lzw, code, why);
    }
    return err;
}

bool lzw_may_end(const struct lzw *lzw)
{
    return lzw->head_n == 3 && lzw->stack_n == 0;
}
