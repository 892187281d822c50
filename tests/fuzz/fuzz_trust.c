/* A trust file: without any evidence nothing is attested, whatever it says. */
#include <assert.h>
#include <stdlib.h>

#include "lib/trust.h"
#include "lib/trust_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum err take_finding(void *ctx, bool mistake, const char *text, struct why *why)
{
    (void)mistake;
    (void)why;
    assert(text[0] != '\0');
    ++*(size_t *)ctx;
    return OK;
}

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
    /* Where the quorum could not be met, the words say what it lacks; and mistakes are found in anything that parses. */
    struct buf words = BUF_EMPTY;
    size_t found = 0;
    struct trust_findings findings = { take_finding, &found };
    assert(trust_missing(&words, &trust, &result, &why) == OK && words.len > 0);
    assert(trust_check(&trust, NULL, &findings, &why) == OK);
    buf_free(&words);
    trust_free(&trust);
    return 0;
}
