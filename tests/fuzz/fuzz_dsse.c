/* DSSE as others write it: no crash, and signatures are counted once a key. */
#include <assert.h>
#include <stdlib.h>

#include "lib/dsse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct dsse dsse;
    static const uint8_t keys[2][32] = { { 1 }, { 1 } };
    static const struct span keyids[2] = { { 0 }, { 0 } };
    if (dsse_parse(&dsse, input, &why) != OK)
        return 0;
    assert(dsse_signed_by(&dsse, keyids, keys, 2) <= 1);
    dsse_free(&dsse);
    return 0;
}
