/*
 * DIR/checkpoint, as a starting log reads it back: under the log and the policy of spec/vectors/bundle.json. What is taken renders
 * to a head of the same log, which is read back as the same.
 */
#include <assert.h>

#include "log/signed_head.h"
#include "tests/fuzz/bundle_policy.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct policy policy;
    struct signed_head *head, *again;
    struct buf text = BUF_EMPTY, same = BUF_EMPTY;
    struct why why = { "" };
    if (policy.logs_n == 0)
        must(policy_parse(&policy, span_str(BUNDLE_POLICY), "policy", &why), &why);
    const struct vkey *log = &policy.logs[0].key;
    enum err err = signed_head_parse(&head, span_of(data, len), log, &policy, 0, &why);
    if (err != OK) {
        assert((err == ERR_MALFORMED || err == ERR_REFUSED) && why.text[0] != '\0');
        return 0;
    }
    assert(head->n <= 2 && head->refs == 1);
    signed_head_render(&text, head);
    assert(!text.failed && signed_head_parse(&again, span_buf(&text), log, &policy, 0, &why) == OK);
    assert(again->head.size == head->head.size && hash_eq(&again->head.root, &head->head.root) && again->n == head->n);
    signed_head_render(&same, again);
    assert(span_eq(span_buf(&same), span_buf(&text)));
    signed_head_release(head);
    signed_head_release(again);
    buf_free(&text);
    buf_free(&same);
    return 0;
}
