/* A trust file: without any evidence nothing is attested, whatever it says. */
#include <assert.h>
#include <stdlib.h>

#include "lib/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct trust trust;
    struct trust_result result;
    struct trust_path path = { .nar_size = 1 };
    if (trust_parse(&trust, input, "input", &why) != OK)
        return 0;
    assert(storepath_parse(&path.path, span_str("/nix/store/00000000000000000000000000000000-hello-2.12"), &why) == OK);
    assert(trust_judge(&trust, &path, NULL, 0, NULL, NULL, &result, &why) == OK);
    assert(result.verdict == TRUST_REFUSED || result.verdict == TRUST_EXEMPT);
    trust_free(&trust);
    return 0;
}
