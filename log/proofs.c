#include "log/proofs.h"

#include "lib/proof.h"

enum err proof_of_entry(struct store_view *view, const struct published_head *head, uint64_t index, struct span entry,
                        struct buf *out, struct why *why)
{
    struct hash hashes[PROOF_HASHES_MAX];
    size_t n;
    struct hash_reader reader = store_view_tiles(view, head->head.size);
    enum err err = merkle_inclusion_prove(index, head->head.size, &reader, hashes, &n, why);
    if (err == OK)
        proof_render(out, &entry, index, hashes, n, span_buf(&head->note));
    return err;
}
