/*
 * What a log answers to letters: under the policy of spec/vectors/bundle.json, with the attestation of its bundle and another one
 * waiting. A letter is proven only by its own bytes under a head that the policy accepts.
 */
#include <assert.h>
#include <stdlib.h>

#include "client/answer.h"
#include "lib/encode.h"
#include "tests/fuzz/bundle_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* SHA-256 of the attestation in the vector's bundle: any proof of it has its bytes. */
static const char known_hex[] = "88d77b49501cfede9060403f43096d75e3cddfde0720149ec10f00180779e1e7";

static struct policy policy;
static struct buf known; /* its bytes, from the first input that has them */

static enum err see_head(void *ctx, const struct checkpoint *checkpoint, struct span note, struct why *why)
{
    (void)ctx, (void)why;
    assert(checkpoint->size > 0 && note.len > 0);
    return OK;
}

static enum err see_proven(void *ctx, struct letter *letter, const struct proof *proof, const struct policy_view *view,
                           struct why *why)
{
    struct buf entry = BUF_EMPTY;
    struct hash leaf = merkle_leaf_hash(letter->envelope);
    (void)ctx;
    assert(letter->state != LETTER_PROVEN && proof_extra(proof, &entry) && span_eq(span_buf(&entry), letter->envelope));
    assert(proof_verify_inclusion(proof, &leaf, &view->checkpoint, why) == OK);
    buf_free(&entry);
    return OK;
}

static void learn(struct span bundles)
{
    struct proof proof;
    struct hash wanted;
    assert(hex_decode(span_str(known_hex), wanted.b, sizeof wanted.b));
    while (known.len == 0 && bundles.len > 0 && proof_next(&proof, &bundles, NULL) == OK) {
        struct buf entry = BUF_EMPTY;
        struct hash hash;
        if (proof_extra(&proof, &entry) && (hash = sha256_of(span_buf(&entry)), hash_eq(&hash, &wanted)))
            buf_span(&known, span_buf(&entry));
        buf_free(&entry);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span bundles = span_of(data, len);
    struct why why;
    if (policy.logs_n == 0 && policy_parse(&policy, span_str(BUNDLE_POLICY), "policy", &why) != OK)
        abort();
    learn(bundles);
    struct letter letters[2] = { { .envelope = span_buf(&known) }, { .envelope = span_str("another") } };
    struct letter *const list[] = { &letters[0], &letters[1] };
    struct answer_reader reader = { .policy = &policy, .head = see_head, .proven = see_proven };
    enum err err = answer_read(&reader, bundles, list, 2, &why);
    assert(err == OK && reader.proven_n <= 1 && letters[1].state != LETTER_PROVEN);
    assert(reader.why_not.text[0] != '\0');
    return 0;
}
