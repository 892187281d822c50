/*
 * What Nix's environment says to the post-build-hook: the first line of the input is OUT_PATHS, the rest NIX_CONFIG. The paths are
 * the text without its spaces, in its order; of the configuration nothing but the sandbox's setting comes out.
 */
#include <assert.h>
#include <stdlib.h>

#include "client/hooks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_paths(const struct hooked *hooked, const char *text)
{
    for (size_t i = 0; i < hooked->outputs_n; i++) {
        struct span path = span_str(hooked->outputs[i]), rest;
        assert(path.len > 0 && span_find(path, ' ') < 0);
        text += strspn(text, " ");
        rest = span_str(text);
        assert(span_skip(&rest, hooked->outputs[i]) && (rest.len == 0 || rest.data[0] == ' '));
        text += path.len;
    }
    assert(text[strspn(text, " ")] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span config = span_of(data, len), first;
    struct hook_words words;
    struct why why;
    if (!span_line(&config, &first))
        return 0;
    char *out_paths = span_dup_str(first), *nix_config = span_dup_str(config);
    assert(out_paths != NULL && nix_config != NULL);
    assert(hook_words_read(&words, "/nix/store/x.drv", out_paths, nix_config, &why) == OK);
    check_paths(&words.hooked, out_paths);
    const char *sandbox = words.hooked.sandbox;
    assert(sandbox == NULL || (statement_sandbox(span_str(sandbox)) == sandbox && strstr(nix_config, sandbox) != NULL));
    hook_words_free(&words);
    free(out_paths);
    free(nix_config);
    return 0;
}
