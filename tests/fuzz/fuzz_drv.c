/* A derivation: its lists are sorted and name nothing twice, and its output paths can be checked whatever it says. */
#include <assert.h>
#include <stdlib.h>

#include "lib/drv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum err modulo_of(void *ctx, struct span drv_path, struct span output, struct hash *out, struct why *why)
{
    (void)ctx;
    (void)output;
    (void)why;
    *out = sha256_of(drv_path);
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct drv drv;
    struct drv_modulo modulo = { modulo_of, NULL };
    if (drv_parse(&drv, input, span_str("/tmp/stele-vectors-nix/store"), &why) != OK)
        return 0;
    assert(drv.outputs_n > 0);
    for (size_t i = 0; i < drv.outputs_n; i++) {
        assert(drv_output_find(&drv, drv.outputs[i].name) == &drv.outputs[i]);
        assert(i == 0 || span_cmp(drv.outputs[i - 1].name, drv.outputs[i].name) < 0);
    }
    for (size_t i = 1; i < drv.env_n; i++)
        assert(span_cmp(drv.env[i - 1].name, drv.env[i].name) < 0);
    drv_check_outputs(&drv, span_str("/tmp/stele-vectors-nix/store"), span_str("name"), &modulo, &why);
    drv_is_fixed(&drv);
    drv_is_floating(&drv);
    drv_free(&drv);
    return 0;
}
