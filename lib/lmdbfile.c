#include "lib/lmdbfile.h"

#include <stdlib.h>

enum {
    META_PAGES = 2,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 32768,
    PAGE_HEAD_BYTES =
        LMDBFILE_PAGE_HEAD_BYTES, /* pgno u64, unused u16, flags u16, lower u16, upper u16; the last two are a u32 of overflow pages */
    NODE_HEAD_BYTES = 8,          /* two u16 of size or of a page's number, flags u16 (or more of the number), key's size u16 */
    DB_BYTES = 48,
    META_BYTES = 8 + 8 + 8 + 2 * DB_BYTES + 8 + 8,
    DEPTH_MAX = 32,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
    NODE_BIG = 1, /* the value lies in overflow pages */
    NODE_DB = 2,  /* the value is a table */
    DB_INTEGER_KEYS = 8,
};

static const uint64_t MAGIC_AND_VERSION = UINT64_C(0x1beefc0de);
static const uint64_t NO_ROOT = UINT64_MAX;
static const uint64_t MAP_BYTES_MAX = UINT64_C(1) << 47;

/* What LMDB keeps of a table. */
struct db {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
    uint64_t map_bytes, last_page, txn;
    struct db free, main;
};

struct file {
    struct span bytes;
    enum lmdbfile_values values;
    void (*soon)(struct span bytes);
    size_t page_bytes;
    struct meta meta;
    uint8_t *taken; /* a bit a page */
    uint64_t free_pages;
};

/* A tree on its walk. */
struct tree {
    enum { TREE_FREE, TREE_MAIN, TREE_TABLE } kind;
    struct db counted;
    unsigned depth;
};

/* The keys below a page are at least `low` and less than `high`, where there are such. */
struct range {
    struct span low, high;
    bool has_low, has_high;
};

struct node {
    struct span key, value; /* the value of a leaf's; not of NODE_BIG */
    uint64_t page;          /* of a branch's child, or of the first overflow page */
    uint64_t value_bytes;
    uint16_t flags;
    size_t bytes; /* in its page */
};

static uint16_t le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t le32(const uint8_t *at)
{
    return le16(at) | (uint32_t)le16(at + 2) << 16;
}

static uint64_t le64(const uint8_t *at)
{
    return le32(at) | (uint64_t)le32(at + 4) << 32;
}

static enum err bad_page(struct why *why, uint64_t page, const char *what)
{
    return fail(why, ERR_MALFORMED, "page %llu: %s", (unsigned long long)page, what);
}

static struct db read_db(const uint8_t *at)
{
    return (struct db){ le32(at),      le16(at + 4),  le16(at + 6),  le64(at + 8),
                        le64(at + 16), le64(at + 24), le64(at + 32), le64(at + 40) };
}

/* One of the two meta pages. */
static enum err read_meta(struct file *file, uint64_t page, struct meta *out, struct why *why)
{
    const uint8_t *at = file->bytes.data + page * file->page_bytes;
    if (le64(at) != page || le16(at + 10) != PAGE_META || le64(at + PAGE_HEAD_BYTES) != MAGIC_AND_VERSION)
        return bad_page(why, page, "no meta page of LMDB's");
    at += PAGE_HEAD_BYTES + 16;
    *out = (struct meta){ .map_bytes = le64(at), .free = read_db(at + 8), .main = read_db(at + 8 + DB_BYTES) };
    out->last_page = le64(at + 8 + 2 * DB_BYTES);
    out->txn = le64(at + 16 + 2 * DB_BYTES);
    if (out->free.pad != file->page_bytes || out->free.flags != DB_INTEGER_KEYS || out->main.pad != 0 || out->main.flags != 0)
        return bad_page(why, page, "a meta page with unknown settings");
    return OK;
}

/* The newer of the two: that of an even transaction is page 0, and they are one transaction apart. */
static enum err choose_meta(struct file *file, struct why *why)
{
    struct meta meta[META_PAGES];
    enum err err = OK;
    for (uint64_t i = 0; i < META_PAGES && err == OK; i++)
        err = read_meta(file, i, &meta[i], why);
    if (err != OK)
        return err;
    bool fresh = meta[0].txn == 0 && meta[1].txn == 0;
    if (!fresh && (meta[0].txn % 2 != 0 || (meta[0].txn != meta[1].txn + 1 && meta[1].txn != meta[0].txn + 1)))
        return bad_page(why, 0, "the two meta pages are not of one transaction and the next");
    file->meta = meta[meta[1].txn > meta[0].txn];
    const struct meta *newest = &file->meta;
    if (newest->last_page < META_PAGES - 1 || newest->last_page >= file->bytes.len / file->page_bytes)
        return fail(why, ERR_MALFORMED, "the file has %llu pages, its meta page says %llu",
                    (unsigned long long)(file->bytes.len / file->page_bytes), (unsigned long long)newest->last_page + 1);
    if (newest->map_bytes % file->page_bytes != 0 || newest->map_bytes / file->page_bytes <= newest->last_page ||
        newest->map_bytes > MAP_BYTES_MAX)
        return bad_page(why, newest->txn % 2, "a map size that cannot be");
    return OK;
}

/* `n` pages from `page` on belong to one place, and to no other. */
static enum err take_pages(struct file *file, uint64_t page, uint64_t n, struct why *why)
{
    if (page < META_PAGES || page > file->meta.last_page || n > file->meta.last_page - page + 1)
        return bad_page(why, page, "used, but not among the file's pages");
    for (; n > 0; n--, page++) {
        if ((file->taken[page / 8] & 1U << page % 8) != 0)
            return bad_page(why, page, "used twice, or used and free");
        file->taken[page / 8] |= (uint8_t)(1U << page % 8);
    }
    return OK;
}

/* The node at `offset` of a page. */
static enum err read_node(const struct file *file, const uint8_t *page, size_t offset, struct node *out, struct why *why)
{
    const uint8_t *at = page + offset;
    bool leaf = le16(page + 10) == PAGE_LEAF;
    uint64_t number = le64(page);
    *out = (struct node){ 0 };
    if (offset > file->page_bytes - NODE_HEAD_BYTES)
        return bad_page(why, number, "a node outside of its page");
    size_t room = file->page_bytes - offset - NODE_HEAD_BYTES, key_bytes = le16(at + 6);
    out->value_bytes = leaf ? le32(at) : 0;
    out->flags = leaf ? le16(at + 4) : 0;
    size_t in_page = out->flags == NODE_BIG ? 8 : out->value_bytes;
    if (key_bytes > room || in_page > room - key_bytes)
        return bad_page(why, number, "a node that is longer than its page");
    out->key = span_of(at + NODE_HEAD_BYTES, key_bytes);
    const uint8_t *value = at + NODE_HEAD_BYTES + key_bytes;
    if (!leaf)
        out->page = le32(at) | (uint64_t)le16(at + 4) << 32;
    else if (out->flags == NODE_BIG)
        out->page = le64(value);
    else
        out->value = span_of(value, out->value_bytes);
    out->bytes = (NODE_HEAD_BYTES + key_bytes + in_page + 1) & ~(size_t)1;
    return OK;
}

static int compare_keys(const struct tree *tree, struct span a, struct span b)
{
    if (tree->kind != TREE_FREE)
        return span_cmp(a, b);
    uint64_t x = le64(a.data), y = le64(b.data);
    return x < y ? -1 : x > y;
}

uint64_t lmdbfile_value_pages(uint64_t value_bytes, size_t page_bytes)
{
    return (PAGE_HEAD_BYTES + value_bytes + page_bytes - 1) / page_bytes;
}

enum err lmdbfile_check_value(const uint8_t head[LMDBFILE_PAGE_HEAD_BYTES], uint64_t page, uint64_t value_bytes, size_t page_bytes,
                              struct why *why)
{
    if (le64(head) != page || le16(head + 10) != PAGE_OVERFLOW || le32(head + 12) != lmdbfile_value_pages(value_bytes, page_bytes))
        return bad_page(why, page, "not the overflow pages of the value that lies there");
    return OK;
}

/* The pages of a value that is too long for its leaf. What a value of the free list says is wanted here. */
static enum err check_big(struct file *file, struct tree *tree, struct node *node, struct why *why)
{
    uint64_t n = lmdbfile_value_pages(node->value_bytes, file->page_bytes);
    enum err err = take_pages(file, node->page, n, why);
    if (err != OK)
        return err;
    const uint8_t *at = file->bytes.data + node->page * file->page_bytes;
    node->value = span_of(at + PAGE_HEAD_BYTES, node->value_bytes);
    tree->counted.overflow_pages += n;
    return file->values == LMDBFILE_VALUES_LATER && tree->kind == TREE_TABLE
               ? OK
               : lmdbfile_check_value(at, node->page, node->value_bytes, file->page_bytes, why);
}

/* A record of the free list: a transaction, and the pages that it gave up, from the highest down. */
static enum err check_free(struct file *file, const struct node *node, uint64_t page, struct why *why)
{
    uint64_t txn = le64(node->key.data), n = node->value.len >= 8 ? le64(node->value.data) : UINT64_MAX, last = UINT64_MAX;
    if (txn == 0 || txn > file->meta.txn || node->value.len % 8 != 0 || n > node->value.len / 8 - 1)
        return bad_page(why, page, "a damaged record of the free list");
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t freed = le64(node->value.data + 8 * i);
        if (freed >= last)
            return bad_page(why, page, "a record of the free list is not in order");
        enum err err = take_pages(file, freed, 1, why);
        if (err != OK)
            return err;
        last = freed;
    }
    file->free_pages += n;
    return OK;
}

static enum err walk_tree(struct file *file, struct tree *tree, const struct db *db, struct why *why);

static enum err check_leaf_node(struct file *file, struct tree *tree, struct node *node, uint64_t page, struct why *why)
{
    tree->counted.entries++;
    if (node->flags != (tree->kind == TREE_MAIN ? NODE_DB : node->flags & NODE_BIG))
        return bad_page(why, page, "a node of an unknown kind");
    enum err err = node->flags == NODE_BIG ? check_big(file, tree, node, why) : OK;
    if (err != OK || tree->kind == TREE_TABLE)
        return err;
    if (tree->kind == TREE_FREE)
        return check_free(file, node, page, why);
    if (node->value.len != DB_BYTES)
        return bad_page(why, page, "a table of a wrong length");
    struct db db = read_db(node->value.data);
    struct tree table = { .kind = TREE_TABLE };
    if (db.pad != 0 || db.flags != 0)
        return bad_page(why, page, "a table of an unknown kind");
    return walk_tree(file, &table, &db, why);
}

static enum err walk_page(struct file *file, struct tree *tree, uint64_t number, unsigned level, struct range range,
                          struct why *why);

/* The child of node `i` of a branch: its keys lie from the node's key on, below the next node's. */
static enum err walk_child(struct file *file, struct tree *tree, const uint8_t *page, size_t i, size_t n, unsigned level,
                           struct range range, struct why *why)
{
    struct node node, next;
    enum err err = read_node(file, page, le16(page + PAGE_HEAD_BYTES + 2 * i), &node, why);
    if (err == OK && i > 0) {
        range.low = node.key;
        range.has_low = true;
    }
    if (err == OK && i + 1 < n && (err = read_node(file, page, le16(page + PAGE_HEAD_BYTES + 2 * (i + 1)), &next, why)) == OK) {
        range.high = next.key;
        range.has_high = true;
    }
    return err == OK ? walk_page(file, tree, node.page, level + 1, range, why) : err;
}

/* The nodes of a page: in order, in its range, and filling it from `upper` to its end. */
static enum err check_nodes(struct file *file, const struct tree *tree, const uint8_t *page, size_t n, struct range range,
                            struct why *why)
{
    bool leaf = le16(page + 10) == PAGE_LEAF;
    uint64_t number = le64(page);
    size_t upper = le16(page + 14), filled = 0;
    struct span last = { NULL, 0 };
    for (size_t i = 0; i < n; i++) {
        struct node node;
        size_t offset = le16(page + PAGE_HEAD_BYTES + 2 * i);
        if (offset < upper || offset % 2 != 0)
            return bad_page(why, number, "a node outside of its page");
        enum err err = read_node(file, page, offset, &node, why);
        if (err != OK)
            return err;
        filled += node.bytes;
        bool wanted = !leaf || (node.flags == NODE_BIG && file->values == LMDBFILE_VALUES_NOW);
        if (file->soon != NULL && wanted && node.page <= file->meta.last_page)
            file->soon(span_cut(file->bytes, node.page * file->page_bytes, file->page_bytes));
        /* The first key of a branch says nothing, and is empty: whatever is below the second is there. */
        if (!leaf && i == 0) {
            if (node.key.len != 0)
                return bad_page(why, number, "a first branch with a key");
            continue;
        }
        if (node.key.len == 0 || (tree->kind == TREE_FREE && node.key.len != 8))
            return bad_page(why, number, "a key of a wrong length");
        if ((last.len > 0 && compare_keys(tree, last, node.key) >= 0) ||
            (range.has_low && compare_keys(tree, node.key, range.low) < 0) ||
            (range.has_high && compare_keys(tree, node.key, range.high) >= 0))
            return bad_page(why, number, "a key out of order");
        last = node.key;
    }
    /* No two nodes at one offset: there are as many bytes as they have together. */
    return filled == file->page_bytes - upper ? OK : bad_page(why, number, "nodes that do not fill their page");
}

static enum err walk_page(struct file *file, struct tree *tree, uint64_t number, unsigned level, struct range range,
                          struct why *why)
{
    enum err err = take_pages(file, number, 1, why);
    if (err != OK)
        return err;
    const uint8_t *page = file->bytes.data + number * file->page_bytes;
    bool leaf = level == tree->depth;
    size_t lower = le16(page + 12), upper = le16(page + 14);
    if (le64(page) != number || le16(page + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
        return bad_page(why, number, leaf ? "not the leaf that it should be" : "not the branch that it should be");
    if (lower < PAGE_HEAD_BYTES || lower > upper || upper > file->page_bytes || lower % 2 != 0)
        return bad_page(why, number, "nodes outside of their page");
    size_t n = (lower - PAGE_HEAD_BYTES) / 2;
    if (n < (leaf ? 1 : 2))
        return bad_page(why, number, "too few nodes");
    if ((err = check_nodes(file, tree, page, n, range, why)) != OK)
        return err;
    *(leaf ? &tree->counted.leaf_pages : &tree->counted.branch_pages) += 1;
    for (size_t i = 0; i < n && err == OK; i++) {
        struct node node;
        if (!leaf)
            err = walk_child(file, tree, page, i, n, level, range, why);
        else if ((err = read_node(file, page, le16(page + PAGE_HEAD_BYTES + 2 * i), &node, why)) == OK)
            err = check_leaf_node(file, tree, &node, number, why);
    }
    return err;
}

static enum err walk_tree(struct file *file, struct tree *tree, const struct db *db, struct why *why)
{
    enum err err = OK;
    if ((db->root == NO_ROOT) != (db->depth == 0) || db->depth > DEPTH_MAX)
        return fail(why, ERR_MALFORMED, "a table of depth %u that cannot be", db->depth);
    tree->depth = db->depth;
    if (db->root != NO_ROOT)
        err = walk_page(file, tree, db->root, 1, (struct range){ .has_low = false }, why);
    const struct db *counted = &tree->counted;
    if (err == OK && (counted->branch_pages != db->branch_pages || counted->leaf_pages != db->leaf_pages ||
                      counted->overflow_pages != db->overflow_pages || counted->entries != db->entries))
        err = fail(why, ERR_MALFORMED, "the table with its root at page %llu does not have as many pages and keys as it says",
                   (unsigned long long)db->root);
    return err;
}

static enum err all_taken(const struct file *file, struct why *why)
{
    for (uint64_t page = META_PAGES; page <= file->meta.last_page; page++)
        if ((file->taken[page / 8] & 1U << page % 8) == 0)
            return bad_page(why, page, "neither used nor free");
    return OK;
}

enum err lmdbfile_check(struct span bytes, enum lmdbfile_values values, void (*soon)(struct span bytes), struct lmdbfile_stat *out,
                        struct why *why)
{
    struct file file = { .bytes = bytes, .values = values, .soon = soon };
    if (bytes.len < PAGE_HEAD_BYTES + META_BYTES)
        return fail(why, ERR_MALFORMED, "%zu bytes are no LMDB file", bytes.len);
    /* The page size is the padding of the first table in a meta page. */
    file.page_bytes = le32(bytes.data + PAGE_HEAD_BYTES + 24);
    if (file.page_bytes < PAGE_BYTES_MIN || file.page_bytes > PAGE_BYTES_MAX || (file.page_bytes & (file.page_bytes - 1)) != 0 ||
        bytes.len < META_PAGES * file.page_bytes)
        return bad_page(why, 0, "no meta page of LMDB's");
    enum err err = choose_meta(&file, why);
    if (err != OK)
        return err;
    if ((file.taken = calloc(file.meta.last_page / 8 + 1, 1)) == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct tree free_tree = { .kind = TREE_FREE }, main_tree = { .kind = TREE_MAIN };
    err = walk_tree(&file, &free_tree, &file.meta.free, why);
    if (err == OK)
        err = walk_tree(&file, &main_tree, &file.meta.main, why);
    if (err == OK)
        err = all_taken(&file, why);
    free(file.taken);
    if (err == OK)
        *out = (struct lmdbfile_stat){ file.meta.last_page + 1, file.free_pages, file.page_bytes };
    return err;
}
