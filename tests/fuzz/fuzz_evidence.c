/*
 * Proof bundles from anybody: under the policy of spec/vectors/bundle.json, whose bundle alone proves anything. What is proven has
 * its entry, its head and its statement, each place of a log once; it is the same with and without the texts of the proofs.
 */
#include <assert.h>
#include <stdlib.h>

#include "client/evidence.h"
#include "tests/fuzz/bundle_policy.h"
#include "tests/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char path_text[] = "/nix/store/y7zw0pmm1sfvfs1lnnwkiw32jhr0m18q-hello-2.12.1";

static struct policy policy;
static struct storepath path;

static void check_item(const struct evidence *evidence, size_t i)
{
    const struct evidence_item *item = evidence->items[i];
    struct why why;
    if (!item->proven) {
        assert(item->why_not.text[0] != '\0');
        return;
    }
    struct hash leaf = merkle_leaf_hash(span_buf(&item->entry));
    assert(item->head->proven && item->origin == item->head->origin && item->cosignatures == 2);
    assert(item->index < item->tree_size && item->tree_size == item->head->view.checkpoint.size);
    assert(item->statement.subjects_n > 0 && (item->subject == NULL || span_eq(item->subject->path, path.path)));
    for (size_t k = 0; k < i; k++)
        assert(!evidence->items[k]->proven || evidence->items[k]->index != item->index);
    if (item->proof_text == NULL)
        return;
    struct proof proof;
    struct span text = span_of(item->proof_text, item->proof_len);
    assert(proof_next(&proof, &text, &why) == OK && text.len == 0);
    assert(proof_verify_inclusion(&proof, &leaf, &item->head->view.checkpoint, &why) == OK);
}

static void check(const struct evidence *evidence)
{
    struct trust_evidence *list = NULL;
    size_t n, *map = NULL, named = 0;
    struct why why;
    for (size_t i = 0; i < evidence->n; i++) {
        check_item(evidence, i);
        named += evidence->items[i]->proven && evidence->items[i]->subject != NULL;
    }
    assert(evidence_for_trust(evidence, &list, &n, &map, &why) == OK && n == named);
    for (size_t i = 0; i < n; i++)
        assert(list[i].subject == evidence->items[map[i]]->subject && list[i].index == evidence->items[map[i]]->index);
    free(list);
    free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct evidence whole = { 0 }, lean = { .lean = true };
    struct why why;
    if (policy.logs_n == 0) {
        must(policy_parse(&policy, span_str(BUNDLE_POLICY), "policy", &why), &why);
        must(storepath_parse(&path, span_str(path_text), &why), &why);
    }
    assert(evidence_add(&whole, span_of(data, len), "input", &policy, &path, &why) == OK);
    assert(evidence_add(&lean, span_of(data, len), "input", &policy, &path, &why) == OK);
    check(&whole);
    check(&lean);
    assert(whole.n == lean.n && whole.proven_n == lean.proven_n);
    evidence_free(&whole);
    evidence_free(&lean);
    return 0;
}
