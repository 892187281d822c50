/* Proof bundles: the pieces rejoin to the input, each renders to itself, and its outline is that of the same piece. */
#include <assert.h>
#include <stdlib.h>

#include "lib/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* One proof alone is what comes first, where nothing comes behind it. */
static void check_alone(struct span input)
{
    struct proof proof, first;
    struct span rest = input;
    struct why why = { "" };
    bool alone = input.len > 0 && proof_next(&first, &rest, &why) == OK && rest.len == 0;
    assert((proof_parse(&proof, input, &why) == OK) == alone && (alone || why.text[0] != '\0'));
    assert(!alone || (span_eq(proof.text, input) && proof.index == first.index && proof.n == first.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    struct why why;
    struct span rest = input, outlined = input;
    check_alone(input);
    while (rest.len > 0) {
        struct proof proof;
        struct buf extra = BUF_EMPTY, again = BUF_EMPTY;
        const uint8_t *from = rest.data;
        if (proof_next(&proof, &rest, &why) != OK)
            return 0;
        assert(proof.text.data == from && proof.text.data + proof.text.len == rest.data);
        struct proof_outline outline;
        assert(proof_outline_next(&outline, &outlined) && outlined.data == rest.data && outline.index == proof.index);
        assert(span_eq(outline.text, proof.text) && span_eq(outline.checkpoint, proof.checkpoint));
        bool has = proof_extra(&proof, &extra);
        struct span bytes = span_buf(&extra);
        assert(has == proof.has_extra);
        proof_render(&again, has ? &bytes : NULL, proof.index, proof.hashes, proof.n, proof.checkpoint);
        assert(span_eq(span_buf(&again), proof.text));
        buf_free(&extra);
        buf_free(&again);
    }
    return 0;
}
