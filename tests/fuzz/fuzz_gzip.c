/* Accept-Encoding, as any client may send it; and whatever is sent as a body, compressed. */
#include <assert.h>
#include <stdlib.h>

#include "lib/sys/decompress.h"
#include "lib/sys/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The data again. */
static void check_packed(struct span packed, struct span data)
{
    struct decompressor *gzip;
    uint8_t block[4096];
    size_t put, at = 0;
    if (decompressor_new(&gzip, span_str("gzip"), NULL) != OK)
        abort();
    for (bool ended = false; !ended; at += put) {
        enum err err = decompressor_run(gzip, &packed, true, block, sizeof block, &put, &ended, NULL);
        assert(err == OK && put <= data.len - at);
        assert(memcmp(block, data.data + at, put) == 0);
    }
    assert(at == data.len && packed.len == 0);
    decompressor_free(gzip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *header = span_dup_str(span_of(data, len));
    if (header == NULL)
        abort();
    /* White space and the order of what is offered say nothing. */
    bool asked = gzip_asked(header);
    struct buf other = BUF_EMPTY, packed = BUF_EMPTY;
    buf_fmt(&other, "br , %s\t", header);
    buf_byte(&other, '\0');
    assert(gzip_asked((const char *)other.data) == asked);
    free(header);
    buf_free(&other);
    if (len > 0) {
        assert(gzip_pack(&packed, span_of(data, len), NULL) == OK);
        check_packed(span_buf(&packed), span_of(data, len));
        buf_free(&packed);
    }
    return 0;
}
