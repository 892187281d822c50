/*
 * What the parts of the key-value store share. For lib/sys/kv*.c alone.
 */
#ifndef STELE_SYS_KV_INTERNAL_H
#define STELE_SYS_KV_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "lib/sys/kv.h"

struct kv {
    MDB_env *env;
    char *path;
    int direct; /* the data file, read past the page cache; -1 where it cannot be */
    MDB_dbi tables[KV_TABLES_MAX];
    MDB_dbi main; /* the table of the tables */
    size_t tables_n;
    /* LMDB moves the map when it grows: readers hold this for reading, growth for writing. Growth comes first, so that
     * a steady stream of readers cannot put it off. */
    pthread_rwlock_t map_lock;
    pthread_mutex_t write_lock; /* held by a whole kv_write, growth included */
    pthread_mutex_t dead_lock;
    unsigned writes; /* under write_lock */
    bool read_only;
    bool dead;
    struct why why_dead;
};

/* A failed LMDB call. All but a lack of slots, which says nothing about the data, ends the writing. */
enum err kv_fail(struct kv *kv, const char *what, int code, struct why *why);

/* Asks the system to bring these bytes of a map from the disk, all at once, not page by page. */
void kv_fetch(struct span value);
/* Opens kv->direct, where the file system can do that. */
void kv_direct_open(struct kv *kv);

#endif
