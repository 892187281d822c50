#include "log/lost_lists.h"

#include <stdio.h>

#include "lib/encode.h"

enum { LINES_BYTES_MAX = 1 << 20 };

void lost_lists_add(struct lost_lists *lost, const struct hash *list, const char *what, uint64_t index)
{
    pthread_mutex_lock(&lost->lock);
    lost->n++;
    if (lost->lines.len < LINES_BYTES_MAX) {
        buf_str(&lost->lines, "input list ");
        hex_encode(&lost->lines, span_of(list->b, sizeof list->b));
        buf_fmt(&lost->lines, " is %s", what);
        if (index != UINT64_MAX)
            buf_fmt(&lost->lines, ", which entry %llu names", (unsigned long long)index);
        buf_byte(&lost->lines, '\n');
    }
    pthread_mutex_unlock(&lost->lock);
}

void lost_lists_print(struct lost_lists *lost)
{
    if (lost->lines.len > 0)
        fwrite(lost->lines.data, 1, lost->lines.len, stderr);
    if (lost->lines.len >= LINES_BYTES_MAX)
        fprintf(stderr, "… of %llu in all\n", (unsigned long long)lost->n);
    buf_free(&lost->lines);
}
