#include "log/proofs.h"

#include "lib/proof.h"

/* What was committed was read back then; a bit that has turned since is not to be served, and nothing is to be built on it. */
static enum err check(struct store_view *view, const struct published_head *head, uint64_t index, struct span entry,
                      const struct hash *hashes, size_t n, struct why *why)
{
    struct hash leaf = merkle_leaf_hash(entry);
    struct why broken;
    if (merkle_inclusion_verify(&leaf, index, head->head.size, hashes, n, &head->head.root, NULL) == OK)
        return OK;
    fail(&broken, ERR_ENV, "the log's data is damaged: entry %llu and its tiles do not lead to the head of %llu entries",
         (unsigned long long)index, (unsigned long long)head->head.size);
    store_kill(view->store, &broken);
    return fail(why, ERR_ENV, "%s", broken.text);
}

enum err proof_of_entry(struct store_view *view, const struct published_head *head, uint64_t index, struct span entry,
                        struct buf *out, struct why *why)
{
    struct hash hashes[PROOF_HASHES_MAX];
    size_t n;
    struct hash_reader reader = store_view_tiles(view, head->head.size);
    enum err err = merkle_inclusion_prove(index, head->head.size, &reader, hashes, &n, why);
    if (err == OK)
        err = check(view, head, index, entry, hashes, n, why);
    if (err == OK)
        proof_render(out, &entry, index, hashes, n, span_buf(&head->note));
    return err;
}
