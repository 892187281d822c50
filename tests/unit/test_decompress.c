#include "tests/unit/support.h"

#include <stdlib.h>

#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/sys/decompress.h"

static const char *const names[] = { "none", "xz", "zstd", "bzip2", "gzip", "lz4", "lzip", "lzma", "compress", "br" };
enum { NAMES = sizeof names / sizeof names[0], BOMB_BYTES = 64 << 20 };

static const char text[] = "Stele, Stele, Stele: a stone with writing on it\n";
/* There is no brotli encoder among our libraries: `text` and a mebibyte of zeros by brotli -q 9. */
static const uint8_t text_br[] = { 0x1b, 0x2f, 0x00, 0x00, 0x04, 0xe4, 0x64, 0x5d, 0x49, 0x5f, 0x17, 0x92, 0x52, 0x85, 0x24, 0x98,
                                   0xd9, 0x8c, 0x02, 0x36, 0xe0, 0xc0, 0xbd, 0x04, 0x03, 0xa0, 0x41, 0xef, 0x24, 0xe3, 0x4e, 0xcb,
                                   0x3f, 0x27, 0x15, 0x32, 0x82, 0x1a, 0xa0, 0x92, 0xe3, 0xe1, 0xf4, 0x16, 0xb7, 0xf4, 0x0b };
static const uint8_t zeros_br[] = { 0x5b, 0xff, 0xff, 0x0f, 0x40, 0x02, 0x20, 0x1e, 0x0b, 0x24, 0xf7, 0xfe, 0x01 };

static void xz(struct buf *out, struct span plain, uint32_t dictionary_bytes)
{
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 1);
    options.dict_size = dictionary_bytes;
    lzma_filter filters[2] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
    size_t max = lzma_stream_buffer_bound(plain.len), len = 0;
    uint8_t *to = buf_grow(out, max);
    assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC64, NULL, plain.data, plain.len, to, &len, max), LZMA_OK);
    out->len -= max - len;
}

static void zstd(struct buf *out, struct span plain, int window_log)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    size_t max = ZSTD_compressBound(plain.len) + 64;
    ZSTD_outBuffer to = { buf_grow(out, max), max, 0 };
    ZSTD_inBuffer from = { plain.data, plain.len, 0 };
    assert_int_equal(ZSTD_compressStream2(ctx, &to, &from, ZSTD_e_end), 0);
    out->len -= max - to.pos;
    ZSTD_freeCCtx(ctx);
}

static void bzip2(struct buf *out, struct span plain)
{
    unsigned len = (unsigned)(plain.len + plain.len / 100 + 600), max = len;
    char *from = (char *)(uintptr_t)plain.data, *to = (char *)buf_grow(out, max);
    assert_int_equal(BZ2_bzBuffToBuffCompress(to, &len, from, (unsigned)plain.len, 9, 0, 0), BZ_OK);
    out->len -= max - len;
}

static void gzip(struct buf *out, struct span plain)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    unsigned max = (unsigned)deflateBound(&z, plain.len);
    z.next_in = (Bytef *)(uintptr_t)plain.data;
    z.avail_in = (unsigned)plain.len;
    z.next_out = buf_grow(out, max);
    z.avail_out = max;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len -= z.avail_out;
    deflateEnd(&z);
}

static void lzma(struct buf *out, struct span plain)
{
    lzma_options_lzma options;
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_lzma_preset(&options, 1);
    options.dict_size = 1 << 20;
    assert_int_equal(lzma_alone_encoder(&stream, &options), LZMA_OK);
    size_t max = lzma_stream_buffer_bound(plain.len);
    stream.next_in = plain.data;
    stream.avail_in = plain.len;
    stream.next_out = buf_grow(out, max);
    stream.avail_out = max;
    assert_int_equal(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
    out->len -= stream.avail_out;
    lzma_end(&stream);
}

static void put_le(struct buf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_byte(out, (uint8_t)(value >> 8 * i));
}

/* No encoder in liblzma: the same data between another head and a trailer of sums. */
static void lzip(struct buf *out, struct span plain)
{
    enum { LZMA_HEAD_BYTES = 13 };
    struct buf alone = BUF_EMPTY;
    lzma(&alone, plain);
    size_t from = out->len;
    buf_str(out, "LZIP\x01\x14");
    buf_add(out, alone.data + LZMA_HEAD_BYTES, alone.len - LZMA_HEAD_BYTES);
    put_le(out, lzma_crc32(plain.data, plain.len, 0), 4);
    put_le(out, plain.len, 8);
    put_le(out, out->len - from + 8, 8);
    buf_free(&alone);
}

static void lz4(struct buf *out, struct span plain)
{
    LZ4F_preferences_t preferences = { .frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled };
    size_t max = LZ4F_compressFrameBound(plain.len, &preferences);
    size_t len = LZ4F_compressFrame(buf_grow(out, max), max, plain.data, plain.len, &preferences);
    assert_false(LZ4F_isError(len));
    out->len -= max - len;
}

/* compress(1)'s: codes in groups of eight, padded where the width changes; the table is emptied some time after it is full. */
struct lzw_out {
    struct buf *out;
    uint64_t held;
    unsigned held_n, bits, group_n;
};

static void put_code(struct lzw_out *to, unsigned code)
{
    to->held |= (uint64_t)code << to->held_n;
    for (to->held_n += to->bits; to->held_n >= 8; to->held_n -= 8, to->held >>= 8)
        buf_byte(to->out, (uint8_t)to->held);
    to->group_n = (to->group_n + 1) % 8;
}

static void put_padding(struct lzw_out *to, unsigned bits)
{
    while (to->group_n != 0)
        put_code(to, 0);
    to->bits = bits;
}

static void lzw(struct buf *out, struct span plain)
{
    enum { BITS_MAX = 12, FIRST = 257, FULL_CODES = 3000 };
    static uint16_t table[1 << BITS_MAX][256];
    struct lzw_out to = { .out = out, .bits = 9 };
    unsigned next = FIRST, code = 0, since_full = 0;
    buf_add(out, "\x1f\x9d\x8c", 3);
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < plain.len; i++) {
        uint8_t byte = plain.data[i];
        if (i == 0) {
            code = byte;
        } else if (table[code][byte] != 0) {
            code = table[code][byte];
        } else {
            put_code(&to, code);
            if (next < 1u << BITS_MAX)
                table[code][byte] = (uint16_t)next++;
            else
                since_full++;
            if (next > 1u << to.bits && to.bits < BITS_MAX)
                put_padding(&to, to.bits + 1);
            if (since_full == FULL_CODES) {
                put_code(&to, 256);
                put_padding(&to, 9);
                memset(table, 0, sizeof table);
                next = FIRST;
                since_full = 0;
            }
            code = byte;
        }
    }
    if (plain.len > 0)
        put_code(&to, code);
    if (to.held_n > 0)
        buf_byte(out, (uint8_t)to.held);
}

static void compress_as(const char *name, struct buf *out, struct span plain)
{
    switch (name[0]) {
    case 'n': buf_span(out, plain); break;
    case 'x': xz(out, plain, 1 << 20); break;
    case 'z': zstd(out, plain, 20); break;
    case 'c': lzw(out, plain); break;
    case 'l': name[2] == '4' ? lz4(out, plain) : name[2] == 'i' ? lzip(out, plain) : lzma(out, plain); break;
    case 'g': gzip(out, plain); break;
    default: name[1] == 'z' ? bzip2(out, plain) : buf_add(out, text_br, sizeof text_br);
    }
}

/* Decompresses in pieces of `in_max` and `out_max` bytes, keeping at most `keep` of them; counts all. */
static enum err run(const char *name, struct span packed, size_t in_max, size_t out_max, struct buf *out, size_t keep,
                    size_t *total, struct why *why)
{
    struct decompressor *d;
    enum err err = decompressor_new(&d, span_str(name), why);
    assert_int_equal(err, OK);
    uint8_t *piece = malloc(out_max);
    size_t given = 0, put, sum = 0;
    struct span in = span_of(packed.data, 0);
    for (bool ended = false; err == OK && !ended;) {
        if (in.len == 0 && given < packed.len) {
            in = span_cut(packed, given, packed.len - given < in_max ? packed.len - given : in_max);
            given += in.len;
        }
        err = decompressor_run(d, &in, given == packed.len, piece, out_max, &put, &ended, why);
        if (err == OK) {
            assert_true(put <= out_max);
            sum += put;
            if (out->len < keep)
                buf_add(out, piece, put);
        }
    }
    free(piece);
    decompressor_free(d);
    if (total != NULL)
        *total = sum;
    return err;
}

static enum err run_all(const char *name, struct span packed, struct buf *out, struct why *why)
{
    buf_clear(out);
    return run(name, packed, 1 << 16, 1 << 16, out, SIZE_MAX, NULL, why);
}

/* Text, noise and zeros: what compresses well and what does not. */
static void make_plain(struct buf *out, size_t len)
{
    uint32_t state = 1;
    while (out->len < len)
        for (int i = 0; i < 1000; i++)
            switch (state = state * 1664525 + 1013904223, out->len / 5000 % 3) {
            case 0: buf_byte(out, 0); break;
            case 1: buf_byte(out, (uint8_t) "stele"[i % 5]); break;
            default: buf_byte(out, (uint8_t)(state >> 24));
            }
}

static void round_trips(void **state)
{
    (void)state;
    struct why why;
    struct buf plain = BUF_EMPTY, packed = BUF_EMPTY, out = BUF_EMPTY;
    static const size_t pieces[][2] = { { 1 << 20, 1 << 20 }, { 4096, 100 }, { 1, 65536 }, { 333, 1 } };
    make_plain(&plain, 60000);
    for (size_t n = 0; n < NAMES; n++) {
        struct span want = n == NAMES - 1 ? span_str(text) : span_buf(&plain);
        buf_clear(&packed);
        compress_as(names[n], &packed, want);
        for (size_t i = 0; i < 4; i++) {
            buf_clear(&out);
            assert_int_equal(run(names[n], span_buf(&packed), pieces[i][0], pieces[i][1], &out, SIZE_MAX, NULL, &why), OK);
            assert_true(span_eq(span_buf(&out), want));
        }
    }
    /* Nothing, compressed. */
    for (size_t n = 0; n < NAMES - 1; n++) {
        buf_clear(&packed);
        compress_as(names[n], &packed, span_str(""));
        assert_int_equal(run_all(names[n], span_buf(&packed), &out, &why), OK);
        assert_int_equal(out.len, 0);
    }
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&out);
}

static void refuses_damage(void **state)
{
    (void)state;
    struct why why;
    struct buf packed = BUF_EMPTY, out = BUF_EMPTY;
    for (size_t n = 1; n < NAMES; n++) {
        buf_clear(&packed);
        compress_as(names[n], &packed, span_str(text));
        struct span whole = span_buf(&packed);
        assert_int_equal(run_all(names[n], whole, &out, &why), OK);
        assert_true(span_is(span_buf(&out), text));
        if (strcmp(names[n], "compress") == 0)
            continue; /* it has neither an end nor a sum: the NAR's hash decides */
        for (size_t len = 0; len < whole.len; len++) {
            assert_int_equal(run_all(names[n], span_cut(whole, 0, len), &out, &why), ERR_MALFORMED);
            assert_non_null(strstr(why.text, names[n]));
        }
        /* A changed byte is found by a check sum, or by what it decompresses to: brotli and our zstd have no sum. */
        size_t found = 0, quiet = 0;
        for (size_t i = 0; i < whole.len; i++) {
            packed.data[i] ^= 0x10;
            enum err err = run_all(names[n], whole, &out, &why);
            found += err != OK || !span_is(span_buf(&out), text);
            quiet += err == OK;
            packed.data[i] ^= 0x10;
        }
        /* gzip's header has a time and a system, zstd's and brotli's bits that mean nothing. */
        assert_true(found + 16 >= whole.len);
        assert_true(names[n][0] == 'z' || strcmp(names[n], "br") == 0 || quiet <= 8);
        buf_byte(&packed, 'x');
        assert_int_equal(run_all(names[n], span_buf(&packed), &out, &why), ERR_MALFORMED);
    }
    struct decompressor *d;
    assert_int_equal(decompressor_new(&d, span_str("lzop"), &why), ERR_MALFORMED);
    assert_int_equal(decompressor_new(&d, span_str(""), &why), ERR_MALFORMED);
    buf_free(&packed);
    buf_free(&out);
}

/* Streams one after the other, as `cat a.xz b.xz` makes them and each format's tool reads them; lzma, compress and brotli have no
 * such thing. */
static void joins_streams(void **state)
{
    (void)state;
    struct why why;
    struct buf packed = BUF_EMPTY, out = BUF_EMPTY;
    for (size_t n = 1; n < NAMES; n++) {
        if (strcmp(names[n], "compress") == 0)
            continue;
        buf_clear(&packed);
        for (int i = 0; i < 3; i++)
            compress_as(names[n], &packed, span_str(text));
        bool joins = n != NAMES - 1 && strcmp(names[n], "lzma") != 0;
        for (size_t piece = 1; piece < 1000; piece += 17) {
            buf_clear(&out);
            assert_int_equal(run(names[n], span_buf(&packed), piece, 70, &out, SIZE_MAX, NULL, &why), joins ? OK : ERR_MALFORMED);
            if (joins)
                assert_int_equal(out.len, 3 * (sizeof text - 1));
        }
        /* The second one cut. */
        packed.len--;
        assert_int_equal(run_all(names[n], span_buf(&packed), &out, &why), ERR_MALFORMED);
    }
    /* xz pads with zeros in fours. */
    buf_clear(&packed);
    xz(&packed, span_str(text), 1 << 20);
    buf_add(&packed, "\0\0\0", 4);
    assert_int_equal(run_all("xz", span_buf(&packed), &out, &why), OK);
    packed.len--;
    assert_int_equal(run_all("xz", span_buf(&packed), &out, &why), ERR_MALFORMED);
    buf_free(&packed);
    buf_free(&out);
}

/* What comes out is bounded by the caller's room at every step, and the memory by ours, whatever the input says. */
static void bounds_bombs(void **state)
{
    (void)state;
    struct why why;
    struct buf zeros = BUF_EMPTY, packed = BUF_EMPTY, out = BUF_EMPTY;
    memset(buf_grow(&zeros, BOMB_BYTES), 0, BOMB_BYTES);
    for (size_t n = 1; n < NAMES; n++) {
        size_t total, want = n == NAMES - 1 ? 1 << 20 : BOMB_BYTES;
        buf_clear(&packed);
        if (n == NAMES - 1)
            buf_add(&packed, zeros_br, sizeof zeros_br);
        else
            compress_as(names[n], &packed, span_buf(&zeros));
        assert_true(packed.len < want / 200);
        buf_clear(&out);
        assert_int_equal(run(names[n], span_buf(&packed), SIZE_MAX, 4096, &out, 4096, &total, &why), OK);
        assert_int_equal(total, want);
    }
    buf_clear(&packed);
    xz(&packed, span_str(text), 64 << 20);
    assert_int_equal(run_all("xz", span_buf(&packed), &out, &why), OK);
    buf_clear(&packed);
    xz(&packed, span_str(text), 256 << 20);
    assert_int_equal(run_all("xz", span_buf(&packed), &out, &why), ERR_MALFORMED);
    buf_clear(&packed);
    zstd(&packed, span_buf(&zeros), 27);
    assert_int_equal(run_all("zstd", span_buf(&packed), &out, &why), OK);
    /* The window descriptor follows magic number and frame header: 2^28 bytes. */
    packed.data[5] = (28 - 10) << 3;
    assert_int_equal(run_all("zstd", span_buf(&packed), &out, &why), ERR_MALFORMED);
    buf_free(&zeros);
    buf_free(&packed);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(joins_streams),
        cmocka_unit_test(bounds_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
