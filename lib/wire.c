#include "lib/wire.h"

void wire_put(struct buf *out, struct span field)
{
    uint8_t len[4];
    if (field.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    put_be32(len, (uint32_t)field.len);
    buf_add(out, len, sizeof len);
    buf_span(out, field);
}

void wire_put_u64(struct buf *out, uint64_t value)
{
    uint8_t bytes[8];
    put_be64(bytes, value);
    wire_put(out, span_of(bytes, sizeof bytes));
}

bool wire_take(struct span *rest, struct span *field)
{
    if (rest->len < 4)
        return false;
    size_t len = get_be32(rest->data);
    if (rest->len - 4 < len)
        return false;
    *field = span_of(rest->data + 4, len);
    *rest = span_of(rest->data + 4 + len, rest->len - 4 - len);
    return true;
}

bool wire_take_u64(struct span *rest, uint64_t *value)
{
    struct span field;
    if (!wire_take(rest, &field) || field.len != 8)
        return false;
    *value = get_be64(field.data);
    return true;
}
