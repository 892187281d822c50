/*
 * Whatever answers a POST of attestations, the log or something before it: a line of its status, and the body. Bundles come with
 * 200 alone; otherwise there is a reason to print, and a line of the request at most.
 */
#include <assert.h>

#include "client/post.h"
#include "tests/fuzz/upstream.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct http_client_config config;
    static struct http_client *client;
    const struct upstream_answer said = { "", span_of(data, len) };
    struct post_answer answer = { 0 };
    struct why why;
    if (client == NULL)
        must(http_client_new(&client, &config, &why), &why);
    upstream_answers(&said, 1);
    must(post_to(client, span_str("http://log.example"), span_str("{}\n"), len, &answer, &why), &why);
    assert(!answer.silent && answer.line <= SUBMISSION_ENTRIES_MAX);
    if (answer.outcome == POST_PROVEN) {
        assert(answer.bundles.len <= len && answer.line == 0);
    } else {
        assert(answer.bundles.len == 0 && answer.why.text[0] != '\0');
        for (const char *at = answer.why.text; *at != '\0'; at++)
            assert((uint8_t)*at >= 0x20 && *at != 0x7f);
    }
    post_answer_free(&answer);
    return 0;
}
