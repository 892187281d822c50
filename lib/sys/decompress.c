#include "lib/sys/decompress.h"

#include <stdlib.h>

#include <brotli/decode.h>
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/lzw.h"

enum {
    XZ_MEMORY_BYTES_MAX = 128 << 20, /* xz -9 needs 65 MiB */
    ZSTD_WINDOW_LOG_MAX = 27,        /* 128 MiB: what zstd itself takes without --long */
    STEP_BYTES_MAX = 1 << 30,        /* zlib and libbz2 count in 32 bits */
};

/* What one call of a library's function did. */
enum step { STEP_MORE, STEP_STREAM_END, STEP_DAMAGED, STEP_NO_MEMORY };

struct format {
    const char *name;
    bool concatenates; /* several streams one after the other are one, as with the format's own tool */
    bool (*start)(struct decompressor *decompressor);
    /* Moves in and out forward. `last`: no input follows. */
    enum step (*run)(struct decompressor *decompressor, struct span *in, bool last, uint8_t **out, size_t *room);
    bool (*restart)(struct decompressor *decompressor); /* for the next stream */
    void (*end)(struct decompressor *decompressor);
};

struct decompressor {
    const struct format *format;
    bool at_end; /* the current stream has ended */
    union {
        lzma_stream xz;
        ZSTD_DCtx *zstd;
        bz_stream bzip2;
        z_stream gzip;
        BrotliDecoderState *br;
        LZ4F_dctx *lz4;
        struct lzw *compress;
    } lib;
};

static bool none_start(struct decompressor *d)
{
    d->at_end = true;
    return true;
}

static enum step none_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    size_t len = in->len < *room ? in->len : *room;
    (void)d, (void)last;
    if (len > 0)
        memcpy(*out, in->data, len);
    *in = span_of(in->data + len, in->len - len);
    *out += len;
    *room -= len;
    return STEP_STREAM_END;
}

static void none_end(struct decompressor *d)
{
    (void)d;
}

static bool xz_start(struct decompressor *d)
{
    d->lib.xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(&d->lib.xz, XZ_MEMORY_BYTES_MAX, LZMA_CONCATENATED) == LZMA_OK;
}

static bool lzma_start(struct decompressor *d)
{
    d->lib.xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_alone_decoder(&d->lib.xz, XZ_MEMORY_BYTES_MAX) == LZMA_OK;
}

static bool lzip_start(struct decompressor *d)
{
    d->lib.xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_lzip_decoder(&d->lib.xz, XZ_MEMORY_BYTES_MAX, LZMA_CONCATENATED) == LZMA_OK;
}

/* liblzma joins the streams of xz and lzip itself, padding between them included: it reports one end, once told that the input
 * is over. */
static enum step xz_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    lzma_stream *xz = &d->lib.xz;
    xz->next_in = in->data;
    xz->avail_in = in->len;
    xz->next_out = *out;
    xz->avail_out = *room;
    lzma_ret code = lzma_code(xz, last ? LZMA_FINISH : LZMA_RUN);
    *in = span_of(xz->next_in, xz->avail_in);
    *out = xz->next_out;
    *room = xz->avail_out;
    /* LZMA_BUF_ERROR: nothing could be done, which the caller sees. */
    return code == LZMA_STREAM_END                                 ? STEP_STREAM_END
           : code == LZMA_OK || code == LZMA_BUF_ERROR             ? STEP_MORE
           : code == LZMA_MEM_ERROR || code == LZMA_MEMLIMIT_ERROR ? STEP_NO_MEMORY
                                                                   : STEP_DAMAGED;
}

static void xz_end(struct decompressor *d)
{
    lzma_end(&d->lib.xz);
}

static bool zstd_start(struct decompressor *d)
{
    d->lib.zstd = ZSTD_createDCtx();
    return d->lib.zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(d->lib.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static enum step zstd_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    ZSTD_inBuffer from = { in->data, in->len, 0 };
    ZSTD_outBuffer to = { *out, *room, 0 };
    (void)last;
    size_t code = ZSTD_decompressStream(d->lib.zstd, &to, &from);
    if (ZSTD_isError(code))
        return STEP_DAMAGED;
    *in = span_of(in->data + from.pos, in->len - from.pos);
    *out += to.pos;
    *room -= to.pos;
    return code == 0 ? STEP_STREAM_END : STEP_MORE;
}

static bool zstd_restart(struct decompressor *d)
{
    return !ZSTD_isError(ZSTD_DCtx_reset(d->lib.zstd, ZSTD_reset_session_only));
}

static void zstd_end(struct decompressor *d)
{
    ZSTD_freeDCtx(d->lib.zstd);
}

static unsigned step_bytes(size_t len)
{
    return len < STEP_BYTES_MAX ? (unsigned)len : STEP_BYTES_MAX;
}

static bool bzip2_start(struct decompressor *d)
{
    d->lib.bzip2 = (bz_stream){ 0 };
    return BZ2_bzDecompressInit(&d->lib.bzip2, 0, 0) == BZ_OK;
}

static enum step bzip2_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    bz_stream *bz = &d->lib.bzip2;
    unsigned from = step_bytes(in->len), to = step_bytes(*room);
    (void)last;
    bz->next_in = (char *)(uintptr_t)in->data; /* not written to */
    bz->avail_in = from;
    bz->next_out = (char *)*out;
    bz->avail_out = to;
    int code = BZ2_bzDecompress(bz);
    *in = span_of(in->data + (from - bz->avail_in), in->len - (from - bz->avail_in));
    *out += to - bz->avail_out;
    *room -= to - bz->avail_out;
    return code == BZ_OK           ? STEP_MORE
           : code == BZ_STREAM_END ? STEP_STREAM_END
           : code == BZ_MEM_ERROR  ? STEP_NO_MEMORY
                                   : STEP_DAMAGED;
}

static void bzip2_end(struct decompressor *d)
{
    BZ2_bzDecompressEnd(&d->lib.bzip2);
}

static bool bzip2_restart(struct decompressor *d)
{
    bzip2_end(d);
    return bzip2_start(d);
}

static bool gzip_start(struct decompressor *d)
{
    d->lib.gzip = (z_stream){ 0 };
    return inflateInit2(&d->lib.gzip, 15 + 16) == Z_OK; /* 16: gzip alone, no zlib header */
}

static enum step gzip_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    z_stream *z = &d->lib.gzip;
    unsigned from = step_bytes(in->len), to = step_bytes(*room);
    (void)last;
    z->next_in = (Bytef *)(uintptr_t)in->data; /* not written to */
    z->avail_in = from;
    z->next_out = *out;
    z->avail_out = to;
    int code = inflate(z, Z_NO_FLUSH);
    *in = span_of(in->data + (from - z->avail_in), in->len - (from - z->avail_in));
    *out += to - z->avail_out;
    *room -= to - z->avail_out;
    return code == Z_OK || code == Z_BUF_ERROR ? STEP_MORE
           : code == Z_STREAM_END              ? STEP_STREAM_END
           : code == Z_MEM_ERROR               ? STEP_NO_MEMORY
                                               : STEP_DAMAGED;
}

static bool gzip_restart(struct decompressor *d)
{
    return inflateReset(&d->lib.gzip) == Z_OK;
}

static void gzip_end(struct decompressor *d)
{
    inflateEnd(&d->lib.gzip);
}

static bool br_start(struct decompressor *d)
{
    return (d->lib.br = BrotliDecoderCreateInstance(NULL, NULL, NULL)) != NULL;
}

static enum step br_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    (void)last;
    BrotliDecoderResult code = BrotliDecoderDecompressStream(d->lib.br, &in->len, &in->data, room, out, NULL);
    return code == BROTLI_DECODER_RESULT_SUCCESS ? STEP_STREAM_END : code == BROTLI_DECODER_RESULT_ERROR ? STEP_DAMAGED : STEP_MORE;
}

static void br_end(struct decompressor *d)
{
    BrotliDecoderDestroyInstance(d->lib.br);
}

static bool lz4_start(struct decompressor *d)
{
    return !LZ4F_isError(LZ4F_createDecompressionContext(&d->lib.lz4, LZ4F_VERSION));
}

static enum step lz4_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    size_t from = in->len, to = *room;
    (void)last;
    size_t code = LZ4F_decompress(d->lib.lz4, *out, &to, in->data, &from, NULL);
    if (LZ4F_isError(code))
        return STEP_DAMAGED;
    *in = span_of(in->data + from, in->len - from);
    *out += to;
    *room -= to;
    return code == 0 ? STEP_STREAM_END : STEP_MORE;
}

static bool lz4_restart(struct decompressor *d)
{
    LZ4F_resetDecompressionContext(d->lib.lz4);
    return true;
}

static void lz4_end(struct decompressor *d)
{
    LZ4F_freeDecompressionContext(d->lib.lz4);
}

static bool compress_start(struct decompressor *d)
{
    if ((d->lib.compress = malloc(sizeof *d->lib.compress)) != NULL)
        lzw_start(d->lib.compress);
    return d->lib.compress != NULL;
}

static enum step compress_run(struct decompressor *d, struct span *in, bool last, uint8_t **out, size_t *room)
{
    if (lzw_run(d->lib.compress, in, out, room, NULL) != OK)
        return STEP_DAMAGED;
    return last && in->len == 0 && lzw_may_end(d->lib.compress) ? STEP_STREAM_END : STEP_MORE;
}

static void compress_end(struct decompressor *d)
{
    free(d->lib.compress);
}

static const struct format formats[] = {
    { "none", false, none_start, none_run, NULL, none_end },
    { "xz", false, xz_start, xz_run, NULL, xz_end },
    { "zstd", true, zstd_start, zstd_run, zstd_restart, zstd_end },
    { "bzip2", true, bzip2_start, bzip2_run, bzip2_restart, bzip2_end },
    { "gzip", true, gzip_start, gzip_run, gzip_restart, gzip_end },
    { "br", false, br_start, br_run, NULL, br_end },
    { "lz4", true, lz4_start, lz4_run, lz4_restart, lz4_end },
    { "lzma", false, lzma_start, xz_run, NULL, xz_end },
    { "lzip", false, lzip_start, xz_run, NULL, xz_end },
    { "compress", false, compress_start, compress_run, NULL, compress_end },
};

enum err decompressor_new(struct decompressor **out, struct span name, struct why *why)
{
    size_t n = sizeof formats / sizeof formats[0], i = 0;
    while (i < n && !span_is(name, formats[i].name))
        i++;
    if (i == n)
        return fail(why, ERR_MALFORMED,
                    "unknown compression `%.*s`: only none, xz, zstd, bzip2, gzip, br, lz4, lzma, lzip and compress",
                    SPAN_FMT(name));
    struct decompressor *d = calloc(1, sizeof *d);
    if (d == NULL)
        return fail(why, ERR_ENV, "out of memory");
    d->format = &formats[i];
    if (!d->format->start(d)) {
        d->format->end(d);
        free(d);
        return fail(why, ERR_ENV, "out of memory");
    }
    *out = d;
    return OK;
}

void decompressor_free(struct decompressor *d)
{
    if (d == NULL)
        return;
    d->format->end(d);
    free(d);
}

/* Bytes follow the end of a stream: the next one, where the format has such. */
static enum err next_stream(struct decompressor *d, struct why *why)
{
    if (!d->format->concatenates)
        return fail(why, ERR_MALFORMED, "bytes follow the end of the %s data", d->format->name);
    if (!d->format->restart(d))
        return fail(why, ERR_ENV, "out of memory");
    d->at_end = false;
    return OK;
}

enum err decompressor_run(struct decompressor *d, struct span *in, bool last, uint8_t *out, size_t max, size_t *put, bool *ended,
                          struct why *why)
{
    const char *name = d->format->name;
    bool copies = d->format->run == none_run;
    size_t room = max;
    *ended = false;
    if (in->data == NULL)
        *in = span_str(""); /* nothing is added to a null pointer */
    for (bool stuck = false; room > 0 && !stuck;) {
        size_t in_before = in->len, room_before = room;
        if (d->at_end && !copies) {
            enum err err = in->len == 0 ? OK : next_stream(d, why);
            if (err != OK)
                return err;
            if (in->len == 0)
                break;
        }
        switch (d->format->run(d, in, last, &out, &room)) {
        case STEP_DAMAGED: return fail(why, ERR_MALFORMED, "damaged %s data", name);
        case STEP_NO_MEMORY: return fail(why, ERR_MALFORMED, "the %s data needs more memory than is allowed", name);
        case STEP_STREAM_END: d->at_end = true; break;
        case STEP_MORE: break;
        }
        stuck = in->len == in_before && room == room_before;
    }
    *put = max - room;
    if (last && in->len == 0 && d->at_end)
        *ended = true;
    else if (last && in->len == 0 && room > 0)
        return fail(why, ERR_MALFORMED, "the %s data ends too early", name);
    return OK;
}
