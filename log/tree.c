#include "log/tree.h"

#include "log/limits.h"

enum err tree_load(struct tree *tree, uint64_t size, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(tree->store, &view, why);
    if (err != OK)
        return err;
    struct hash_reader reader = store_view_tiles(&view, size);
    err = frontier_load(&tree->frontier, size, &reader, why);
    store_view_end(&view);
    return err;
}

/* In short transactions. */
static enum err read_back(struct tree *tree, uint64_t size, struct why *why)
{
    enum err err = OK;
    while (err == OK && tree->frontier.size < size) {
        struct store_view view;
        if ((err = store_view_begin(tree->store, &view, why)) != OK)
            return err;
        struct store_walk walk;
        store_walk_start(&walk, &view, tree->frontier.size);
        for (unsigned i = 0; i < READ_BACK_ENTRIES_MAX && tree->frontier.size < size; i++) {
            struct span entry;
            if ((err = store_walk_next(&walk, &entry, why)) != OK)
                break;
            struct hash leaf = merkle_leaf_hash(entry);
            frontier_append(&tree->frontier, &leaf);
        }
        store_view_end(&view);
    }
    return err;
}

enum err tree_recompute(struct tree *tree, uint64_t size, struct head *head, struct why *why)
{
    struct hash root;
    enum err err = read_back(tree, size, why);
    if (err == OK)
        err = tree_root(tree, size, &root, why);
    if (err != OK)
        return err;
    *head = (struct head){ size, frontier_root(&tree->frontier) };
    if (!hash_eq(&head->root, &root))
        return fail(why, ERR_ENV, "the entries up to %llu do not hash to the root that the tiles give: nothing is signed",
                    (unsigned long long)size);
    return OK;
}

enum err tree_root(struct tree *tree, uint64_t size, struct hash *root, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(tree->store, &view, why);
    if (err != OK)
        return err;
    view.tiles.cache = &tree->cache;
    struct hash_reader reader = store_view_tiles(&view, size);
    err = merkle_root(size, &reader, root, why);
    store_view_end(&view);
    return err;
}

enum err tree_prove(struct tree *tree, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(tree->store, &view, why);
    if (err != OK)
        return err;
    view.tiles.cache = &tree->cache;
    struct hash_reader reader = store_view_tiles(&view, size);
    err = merkle_consistency_prove(old, size, &reader, proof, n, why);
    store_view_end(&view);
    return err;
}
