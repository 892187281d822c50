#include "tests/unit/support.h"

#include <stdlib.h>

#include "lib/sys/decompress.h"
#include "lib/sys/gzip.h"

static void reads_what_clients_accept(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool asked;
    } cases[] = {
        { NULL, false },
        { "", false },
        { "gzip", true },
        { "GZip", true },
        { "x-gzip", true },
        { "deflate, gzip, br", true },
        { "gzip;q=1.0, identity;q=0.5", true },
        { "gzip ; q=0.5 , identity;q=0.5", true },
        { "\tgzip", true },
        { "gzip;Q=0.001", true },
        { "*", true },
        { "*;q=0.1", true },
        { "identity;q=0, *", true },
        { "gzip, identity", true },
        { "gzip,", true },
        { "gzip;q=0", false },
        { "gzip;q=0.000", false },
        { "gzip;q=0, *", false },
        { "*;q=0", false },
        { "identity", false },
        { "identity, gzip;q=0.5", false },
        { "deflate", false },
        { "gzipx", false },
        { "xgzip", false },
        { "gzip;q=2", false },
        { "gzip;q=1.001", false },
        { "gzip;q=0.0000", false },
        { "gzip;q=", false },
        { "gzip;q=-1", false },
        { "gzip;q=0,5", false },
        { "gzip;x=1", false },
        { "gzip;q=1;q=1", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (gzip_asked(cases[i].header) != cases[i].asked)
            print_error("%s\n", cases[i].header);
        assert_int_equal(gzip_asked(cases[i].header), cases[i].asked);
    }
}

static void unpack(struct buf *out, struct span packed)
{
    struct decompressor *gzip;
    struct why why;
    uint8_t block[4096];
    size_t put;
    bool ended = false;
    assert_int_equal(decompressor_new(&gzip, span_str("gzip"), &why), OK);
    while (!ended) {
        assert_int_equal(decompressor_run(gzip, &packed, true, block, sizeof block, &put, &ended, &why), OK);
        buf_add(out, block, put);
    }
    assert_int_equal(packed.len, 0);
    decompressor_free(gzip);
}

static void packs(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 1000, 1000000 };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf data = BUF_EMPTY, packed = BUF_EMPTY;
        struct why why;
        for (size_t k = 0; k < lengths[i]; k++)
            buf_byte(&data, (uint8_t)(k * k >> 7));
        buf_str(&packed, "before");
        assert_int_equal(gzip_pack(&packed, span_buf(&data), &why), OK);
        assert_memory_equal(packed.data, "before\x1f\x8b", 8);
        struct buf again = BUF_EMPTY;
        unpack(&again, span_cut(span_buf(&packed), 6, packed.len - 6));
        assert_int_equal(again.len, data.len);
        if (data.len > 0)
            assert_memory_equal(again.data, data.data, data.len);
        buf_free(&data);
        buf_free(&packed);
        buf_free(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_what_clients_accept), cmocka_unit_test(packs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
