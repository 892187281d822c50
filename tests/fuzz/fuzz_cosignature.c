/* A witness's answer, and a note with cosignatures, whatever they hold. */
#include <assert.h>
#include <stdlib.h>

#include "lib/cosignature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    static const uint8_t public_key[32] = { 1 };
    struct vkey key = vkey_make(span_str("w1.example"), SIG_COSIGNATURE, public_key);
    struct buf line = BUF_EMPTY;
    uint64_t time_s;
    bool verified;
    struct note note;
    cosignature_from_reply(input, span_str("log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), &key, &line, &time_s,
                           &why);
    if (note_parse(&note, input, &why) == OK && cosignature_verify(&note, &key, 1, &verified, &time_s, &why) == OK)
        assert(!verified); /* no signature under this key can be found by chance */
    buf_free(&line);
    return 0;
}
