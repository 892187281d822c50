/* Nix's configuration: no crash, and what was parsed, parsed again, says the same. */
#include <assert.h>

#include "lib/nixconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nixconf once, twice;
    struct span value;
    struct why why;
    if (nixconf_parse(&once, span_of(data, len), &why) != OK)
        return 0;
    nixconf_get(&once, "substituters", &value);
    if (once.text.len > 0 && once.text.data[0] != '{' && nixconf_parse(&twice, span_buf(&once.text), &why) == OK) {
        assert(span_eq(span_buf(&once.text), span_buf(&twice.text)));
        nixconf_free(&twice);
    }
    nixconf_free(&once);
    return 0;
}
