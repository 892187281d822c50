/*
 * What the log keeps: entries, tiles, input lists and the indices over them. Everything that knows the database stands
 * behind this header, so that another store can take its place.
 *
 * One process appends, in one thread; any number of threads read, each through a view: a snapshot of one commit. Nothing here
 * knows what is published: callers pass the size up to which they may look.
 *
 * Entries, tiles and input lists are durable with each commit. The rest follows from them, and lags: the look-up indices in a
 * database of their own (log/index.h), and the set of leaf hashes in files (log/seen.h).
 */
#ifndef STELE_LOG_STORE_H
#define STELE_LOG_STORE_H

#include "lib/storepath.h"
#include "lib/sys/kv.h"
#include "lib/tile.h"

struct index_view;

struct store;

/* An entry to append, with what the indices want to know of it. */
struct store_entry {
    struct span bytes;
    struct hash leaf;
    struct hash builder;                 /* vkey_hash of its signer */
    uint8_t (*outputs)[HASH_PART_BYTES]; /* of its subjects */
    size_t outputs_n;
    bool has_derivation, has_input_list;
    uint8_t derivation[HASH_PART_BYTES];
    struct hash input_list;
    /* Set by store_append: */
    uint64_t index;
    bool known; /* it was in the log already */
};

/* An input list that travels with entries that name it. */
struct store_list {
    struct hash hash;
    struct span text;
};

/* What is appended together: all or nothing. */
struct store_part {
    struct store_entry *entries;
    size_t n;
    const struct store_list *lists;
    size_t lists_n;
    bool lists_may_lack; /* an entry's list may be neither here nor stored: no copy of the log has it */
};

struct store_config {
    const char *dir; /* the log's folder */
    struct span origin;
    /* To read alone, beside a log that may be running: nothing is created, store_append is not called. DIR/index may be missing:
     * then there are no look-ups. */
    bool reading;
    /* What the indices want to know of a stored entry: for those that they do not cover yet. ERR_MALFORMED, ERR_ENV. */
    enum err (*describe)(struct store_entry *out, struct span bytes, struct why *why);
    void (*undescribe)(struct store_entry *entry); /* frees what `describe` allocated */
};

/* Is the structure of the files in DIR/data and DIR/index whole? With the folder's lock held. `all_read`: by a caller that goes on
 * to read every entry, tile and list with the functions for `fsck`, which do their part of it. ERR_REFUSED, ERR_ENV. */
enum err store_check_files(const char *dir, bool all_read, struct why *why);
/* Opens DIR/data, DIR/index and DIR/seen, creating them where there are none, and indexes what is not yet. ERR_ENV; ERR_REFUSED
 * where a file's structure is damaged (not looked at where `reading`), or they belong to another origin or have a schema that this
 * program does not know. */
enum err store_open(struct store **out, const struct store_config *config, struct why *why);
/* One snapshot of entries, tiles and input lists to OUT/data, durably; OUT is there, OUT/data is not. ERR_ENV. */
enum err store_copy(struct store *store, const char *out, struct why *why);
void store_close(struct store *store);
/* The number of entries committed. */
uint64_t store_size(struct store *store);
/* Has a storage error ended all writing? */
bool store_dead(struct store *store, struct why *why);
void store_kill(struct store *store, const struct why *why);

struct store_metrics {
    uint64_t data_bytes, index_bytes; /* in use */
    uint64_t seen_bytes;              /* of the set of leaf hashes */
    uint64_t index_lag_entries;       /* not in the stored indices yet */
};
void store_metrics(struct store *store, struct store_metrics *out);

/* Is an entry with this leaf hash in the log? For the thread that appends. ERR_ENV. */
enum err store_find(struct store *store, const struct hash *leaf, bool *found, uint64_t *index, struct why *why);

/* Appends the parts in order, in one durable commit, and gives every entry its index: its old one where the same bytes are in
 * the log, or came earlier in this batch. *size is the number of entries then. A list that is missing, or damaged, is stored
 * with any entry that brings it. */
enum err store_append(struct store *store, const struct store_part *parts, size_t n, uint64_t *size, struct why *why);

/* A snapshot. At most one a thread at a time; short. Spans are borrowed until store_view_end. */
struct store_view {
    struct store *store;
    struct kv_txn txn;
    uint64_t size;
    struct tile_reader tiles; /* for store_view_tiles */
    struct index_view *index; /* opened by the first look-up */
};
enum err store_view_begin(struct store *store, struct store_view *view, struct why *why);
void store_view_end(struct store_view *view);

/* ERR_ENV where the store should have it and does not. */
enum err store_view_entry(struct store_view *view, uint64_t index, struct span *entry, struct why *why);
/* The first `width` entries of bundle `number` as an entry bundle; in `scratch` (appended) where they are not in one piece. */
enum err store_view_bundle(struct store_view *view, uint64_t number, unsigned width, struct buf *scratch, struct span *bundle,
                           struct why *why);
/* The tile's bytes: 32 a hash, tile->width hashes. */
enum err store_view_tile(struct store_view *view, const struct tile *tile, struct span *bytes, struct why *why);
/* Reads the nodes of the tree of `size` leaves, at most view->size. Used until the next call or the view's end. */
struct hash_reader store_view_tiles(struct store_view *view, uint64_t size);
/* *first is the lowest index that names the list. */
enum err store_view_inputs(struct store_view *view, const struct hash *list, struct span *text, uint64_t *first, bool *found,
                           struct why *why);

enum store_index {
    STORE_OUTPUT,     /* of entries that name a store path as an output */
    STORE_DERIVATION, /* or as the derivation that they built */
    STORE_BUILDER,    /* all of a builder; `hash_part` is not looked at, and builders_n not 0 */
};

/* Which entries: of each builder asked for (all, where builders_n is 0; in the order of their hashes) the first
 * `per_builder` with an index in [from, size), at most `max` together. */
struct store_lookup {
    enum store_index by;
    uint8_t hash_part[HASH_PART_BYTES];
    const struct hash *builders; /* sorted, without doubles */
    size_t builders_n;
    uint64_t from, size;
    unsigned per_builder;
};
enum err store_view_lookup(struct store_view *view, const struct store_lookup *lookup, uint64_t *indices, size_t max, size_t *n,
                           struct why *why);

/* Walks the entries from `index` on: how the publisher reads back what was committed. */
struct store_walk {
    struct store_view *view;
    uint64_t index;
    struct span rest; /* of the run that holds `index` */
};
void store_walk_start(struct store_walk *walk, struct store_view *view, uint64_t index);
enum err store_walk_next(struct store_walk *walk, struct span *entry, struct why *why);

/* For `fsck` (log/store_check.c). A thread's own room for what it reads; all zeros is empty. */
struct store_room {
    struct buf scratch;
    struct kv_room run, tile;
};
void store_room_free(struct store_room *room);
/* The first `width` entries of a bundle, which has no more, in so many runs, added to *runs; and a tile of exactly this width. Each
 * is there until the next one of its kind. ERR_REFUSED; ERR_ENV. */
enum err store_view_whole_bundle(struct store_view *view, uint64_t number, unsigned width, struct store_room *room,
                                 struct span *bundle, uint64_t *runs, struct why *why);
enum err store_view_whole_tile(struct store_view *view, const struct tile *tile, struct store_room *room, struct span *bytes,
                               struct why *why);
/* After all: is there nothing else? ERR_REFUSED. */
enum err store_view_check_counts(struct store_view *view, uint64_t runs, struct why *why);
/* Calls `damaged` for every stored input list that does not hash to its key. ERR_REFUSED where one is no whole value. */
enum err store_view_check_lists(struct store_view *view, void (*damaged)(void *ctx, const struct hash *list), void *ctx,
                                struct why *why);
/* The entries below *indexed are in the stored indices; 0 where this copy has none. */
enum err store_view_indexed(struct store_view *view, uint64_t *indexed, struct why *why);
/* Is a described entry, below `indexed`, found under all its keys, whose number is added to *keys? ERR_REFUSED, naming the entry
 * and the index. */
enum err store_view_check_keys(struct store_view *view, const struct store_entry *entry, uint64_t *keys, struct why *why);
/* Is an entry in the stored set of leaf hashes, as far as that goes? ERR_REFUSED, naming the entry. */
enum err store_view_check_leaf(struct store_view *view, const struct store_entry *entry, struct why *why);
/* Is the input list that a described entry names there, and right? */
enum store_list_state { STORE_LIST_RIGHT, STORE_LIST_MISSING, STORE_LIST_DAMAGED };
enum err store_view_check_list(struct store_view *view, const struct store_entry *entry, enum store_list_state *state,
                               struct why *why);
/* After all entries: are the stored indices in order, and have exactly so many keys? ERR_REFUSED. */
enum err store_view_check_index(struct store_view *view, uint64_t keys, struct why *why);

#endif
