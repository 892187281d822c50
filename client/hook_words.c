/* What Nix's environment says to the hook. Pure, so that it can be fuzzed: a derivation's author chooses the names. */
#include <stdlib.h>

#include "client/hooks.h"

/* The last line of its name counts. */
static const char *sandbox_of(const char *nix_config)
{
    const char *sandbox = NULL;
    struct span rest = span_str(nix_config != NULL ? nix_config : ""), line, word;
    while (rest.len > 0) {
        if (!span_line(&rest, &line)) {
            line = rest;
            rest = span_str("");
        }
        if (span_word(&line, &word) && span_is(word, "sandbox") && span_word(&line, &word) && span_is(word, "="))
            sandbox = span_word(&line, &word) ? statement_sandbox(word) : NULL;
    }
    return sandbox;
}

enum err hook_words_read(struct hook_words *out, const char *drv_path, const char *out_paths, const char *nix_config,
                         struct why *why)
{
    const char *text = out_paths != NULL ? out_paths : "";
    *out = (struct hook_words){ .hooked = { .drv_path = drv_path, .sandbox = sandbox_of(nix_config) } };
    out->storage = span_dup_str(span_str(text));
    out->paths = calloc(strlen(text) / 2 + 2, sizeof *out->paths);
    if (out->storage == NULL || out->paths == NULL) {
        hook_words_free(out);
        return fail(why, ERR_ENV, "out of memory");
    }
    char *rest = out->storage;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;)
        out->paths[out->hooked.outputs_n++] = word;
    out->hooked.outputs = out->paths;
    return OK;
}

void hook_words_free(struct hook_words *words)
{
    free(words->paths);
    free(words->storage);
    *words = (struct hook_words){ 0 };
}
