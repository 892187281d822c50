/* The first byte names the format and the sizes of the pieces; the rest is the compressed data. */
#include <assert.h>
#include <stdlib.h>

#include "lib/sys/decompress.h"

enum { OUT_BYTES_MAX = 4 << 20, PIECE_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = { "none", "xz", "zstd", "bzip2", "gzip", "br", "lz4", "lzma", "lzip", "compress" };
    struct decompressor *d;
    struct why why = { "" };
    if (len == 0)
        return 0;
    size_t in_max = data[0] & 0x80 ? 7 : SIZE_MAX, out_max = data[0] & 0x40 ? 5 : PIECE_BYTES, at = 1, sum = 0, put;
    if (decompressor_new(&d, span_str(names[(data[0] & 0x3f) % 10]), &why) != OK)
        abort();
    struct span in = span_of(data + 1, 0);
    enum err err = OK;
    for (bool ended = false; err == OK && !ended && sum < OUT_BYTES_MAX;) {
        uint8_t piece[PIECE_BYTES];
        if (in.len == 0) {
            in = span_of(data + at, len - at < in_max ? len - at : in_max);
            at += in.len;
        }
        size_t before = in.len;
        err = decompressor_run(d, &in, at == len, piece, out_max, &put, &ended, &why);
        assert(in.len <= before);
        if (err != OK)
            break;
        assert(put <= out_max && (put > 0 || ended || in.len == 0));
        sum += put;
    }
    assert(err == OK || (err == ERR_MALFORMED && why.text[0] != '\0'));
    decompressor_free(d);
    return 0;
}
