/*
 * Recomputes a tree from its entries, in several threads, and holds every tile against it: what `stele-log fsck` does with the
 * log's own data, and with a remote log.
 */
#ifndef STELE_LOG_AUDIT_H
#define STELE_LOG_AUDIT_H

#include "lib/tile.h"

/* Where entries and tiles come from. Each thread has a reader of its own; what it hands out lasts until its next call of
 * the same function. */
struct audit_source {
    enum err (*open)(void *ctx, void **reader, struct why *why);
    void (*close)(void *reader);
    enum err (*bundle)(void *reader, uint64_t number, unsigned width, struct span *bundle, struct why *why);
    enum err (*tile)(void *reader, const struct tile *tile, struct span *bytes, struct why *why);
    /* What else is to be looked at in an entry; NULL: nothing. */
    enum err (*entry)(void *reader, uint64_t index, struct span bytes, struct why *why);
    void *ctx;
};

enum { AUDIT_LEVELS = 8, AUDIT_STEP_BUNDLES = 16 };

struct audit {
    const struct audit_source *source;
    unsigned threads;
    uint64_t size; /* of the tree to be recomputed */
    /* After each AUDIT_STEP_BUNDLES bundles, in the order of entries: the tree so far. NULL is fine. */
    enum err (*step)(void *ctx, const struct frontier *frontier, struct why *why);
    void *ctx;
    struct frontier frontier; /* where it starts: empty, or as audit_resume left it; the whole tree at the end */
    struct audit_level {      /* the last tile of each level, as the entries give it */
        uint64_t number;
        unsigned width;
        uint8_t hashes[TILE_WIDTH * 32];
    } levels[AUDIT_LEVELS];
};

/* Starts at the last full bundle of the tree of `head`'s size, whose root is known to be right, with what the tiles say of the
 * entries before; the tiles are held against the root. ERR_REFUSED where they do not give it. */
enum err audit_resume(struct audit *audit, uint64_t size, const struct hash *root, struct why *why);
/* The first thing that is wrong, in the order of entries. ERR_REFUSED; a reader's errors. */
enum err audit_run(struct audit *audit, struct why *why);

#endif
