/*
 * An ordered key-value store on disk: LMDB with the settings that a log needs, and nothing of it showing.
 *
 * Every commit is durable when kv_write returns. One writer at a time, readers never wait for it. The map grows by
 * itself. The environment must be opened after fork. One process may write it; others may read beside it.
 *
 * LMDB lets the next commit succeed after one that failed on the disk, so the first storage error is final: from then on
 * the environment is dead and takes no write until it is opened again (spec/invariants.md, 4). Reads go on.
 */
#ifndef STELE_SYS_KV_H
#define STELE_SYS_KV_H

#include "lib/bytes.h"

enum {
    KV_TABLES_MAX = 16,
    KV_KEY_BYTES_MAX = 511, /* LMDB's own */
};

struct kv;
struct MDB_txn;
struct MDB_cursor;

struct kv_config {
    const char *path;          /* a folder that is there */
    const char *const *tables; /* their names; a table is named by its place here */
    size_t tables_n;
    uint64_t map_bytes;   /* to begin with; rounded up to pages */
    unsigned readers_max; /* threads that read at once */
    bool read_only;       /* beside the process that writes; creates nothing, ERR_ENV where a table is missing */
};

/* Is the structure of the file whole (lib/lmdbfile.h)? To be asked before kv_open, with no process writing: LMDB crashes on, or
 * writes over, what a damaged page leads it to. OK too where there is no file. ERR_MALFORMED, naming the page; ERR_ENV. */
enum kv_values {
    KV_VALUES_SMALL, /* most of them: the file is read from end to end */
    KV_VALUES_LARGE, /* only the first page of each is read */
    KV_VALUES_LATER, /* nor that: every value will be read with kv_load, which looks at it; until then nothing is written */
};
enum err kv_check(const char *path, enum kv_values values, struct why *why);

/* A process that a fault ends says on stderr what it may mean (kv_open sees to it). */
void kv_explain_crashes(void);
/* Opens, creating what is missing, and frees the slots of readers that died. After a power cut at any moment it opens again; what
 * it shows is durable, whoever wrote it. ERR_ENV. */
enum err kv_open(struct kv **out, const struct kv_config *config, struct why *why);
void kv_close(struct kv *kv); /* with no transaction open; NULL is fine */

/* Has a storage error ended all writing? `why` says which. */
bool kv_dead(struct kv *kv, struct why *why);
/* Ends all writing: for a caller that found the data to be wrong. */
void kv_kill(struct kv *kv, const struct why *why);
/* Bytes of the data file in use. */
uint64_t kv_used_bytes(struct kv *kv);
/* Writes one snapshot, without the free pages, to `path`/data.mdb, durably; `path` is a folder without one. ERR_ENV. */
enum err kv_copy(struct kv *kv, const char *path, struct why *why);

struct kv_txn {
    struct kv *kv;
    struct MDB_txn *txn;
    bool full; /* a write found the map full */
};

/* A read transaction: one snapshot, at most one a thread at a time, and short, because it keeps old pages alive. What is
 * read through it is borrowed until kv_read_end. */
enum err kv_read(struct kv *kv, struct kv_txn *txn, struct why *why);
void kv_read_end(struct kv_txn *txn);

/* Runs `body` in a write transaction and commits it durably; nothing is kept where it returns an error. Where the map
 * is full it is grown and `body` runs again from the start: it must depend on nothing that an earlier run changed. */
enum err kv_write(struct kv *kv, enum err (*body)(void *ctx, struct kv_txn *txn, struct why *why), void *ctx, struct why *why);

/* *value is borrowed: until the end of a read transaction, until the next write in a write transaction. */
enum err kv_get(struct kv_txn *txn, unsigned table, struct span key, struct span *value, bool *found, struct why *why);
/* Room for values that did not come from the map; a thread's own. All zeros is empty. */
struct kv_room {
    void *at;
    size_t bytes;
};
void kv_room_free(struct kv_room *room);
/* For a walk over everything, where each large value is read whole, once: one that is not all in memory is read from the disk by
 * one request, past the page cache, into `room`, and *value then is there until the next call with this room. So such a walk does
 * not wait page by page, and throws nothing out of memory that others use. Where the store is not `read_only`, or its file system
 * cannot do that, it comes by way of the map. ERR_MALFORMED where its first page is not one of such a value; ERR_ENV where the disk
 * does not give it. */
enum err kv_load(struct kv_txn *txn, struct span *value, struct kv_room *room, struct why *why);
/* How many keys a table has. */
enum err kv_count(struct kv_txn *txn, unsigned table, uint64_t *count, struct why *why);
/* The greatest key that is at most `key`. */
enum err kv_floor(struct kv_txn *txn, unsigned table, struct span key, struct span *found_key, struct span *value, bool *found,
                  struct why *why);
enum err kv_put(struct kv_txn *txn, unsigned table, struct span key, struct span value, struct why *why);
/* kv_put for a key above all others of the table: packs pages full. ERR_ENV, and dead, where it is not above. */
enum err kv_append(struct kv_txn *txn, unsigned table, struct span key, struct span value, struct why *why);
/* OK too where it was not there. */
enum err kv_delete(struct kv_txn *txn, unsigned table, struct span key, struct why *why);

/* Walks the keys from `from` on that start with its first `prefix_len` bytes. */
struct kv_cursor {
    struct kv_txn *txn;
    struct MDB_cursor *cursor;
    uint8_t from[KV_KEY_BYTES_MAX];
    size_t from_len, prefix_len;
    bool seek; /* the first step looks `from` up */
};
enum err kv_cursor_open(struct kv_cursor *out, struct kv_txn *txn, unsigned table, struct span from, size_t prefix_len,
                        struct why *why);
/* *found is false at the end. */
enum err kv_cursor_next(struct kv_cursor *cursor, struct span *key, struct span *value, bool *found, struct why *why);
void kv_cursor_close(struct kv_cursor *cursor);

#endif
